/* SPDX-License-Identifier: Apache-2.0 */
#include "common/base/bytes.h"

gsize iov_length(const struct iovec *iov, int count)
{
	gsize sum = 0;

	for (int i = 0; i < count; i++)
		sum += iov[i].iov_len;
	return sum;
}

void *iov_next(IovCursor *cursor, gsize *length)
{
	void *start;

	while (cursor->count && cursor->done == cursor->iov->iov_len) {
		cursor->iov++;
		cursor->count--;
		cursor->done = 0;
	}
	if (!cursor->count)
		return NULL;
	*length = MIN(*length, cursor->iov->iov_len - cursor->done);
	start = (char *)cursor->iov->iov_base + cursor->done;
	cursor->done += *length;
	return start;
}

void iov_advance(IovCursor *cursor, gsize length)
{
	while (length) {
		gsize piece = length;

		if (!iov_next(cursor, &piece))
			return;
		length -= piece;
	}
}

int iov_take(IovCursor *cursor, gsize length, struct iovec *out, int max, gsize *ret_length)
{
	gsize sum = 0;
	int n = 0;

	while (n < max && sum < length) {
		gsize piece = length - sum;
		void *start = iov_next(cursor, &piece);

		if (!start)
			break;
		out[n++] = (struct iovec){.iov_base = start, .iov_len = piece};
		sum += piece;
	}
	*ret_length = sum;
	return n;
}

void iov_copy_out(IovCursor *cursor, void *to, gsize length)
{
	for (char *p = to; length;) {
		gsize piece = length;
		const void *from = iov_next(cursor, &piece);

		if (!from)
			return;
		memcpy(p, from, piece);
		p += piece;
		length -= piece;
	}
}

void iov_copy_in(IovCursor *cursor, const void *from, gsize length)
{
	for (const char *p = from; length;) {
		gsize piece = length;
		void *to = iov_next(cursor, &piece);

		if (!to)
			return;
		memcpy(to, p, piece);
		p += piece;
		length -= piece;
	}
}

void iov_zero(IovCursor *cursor, gsize length)
{
	while (length) {
		gsize piece = length;
		void *to = iov_next(cursor, &piece);

		if (!to)
			return;
		memset(to, 0, piece);
		length -= piece;
	}
}
