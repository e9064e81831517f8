// SPDX-License-Identifier: Apache-2.0
/* Linked with all of one room of common/ and with the rooms below it (tests/packages/rooms). */
int main(void)
{
	return 0;
}
