/* SPDX-License-Identifier: Apache-2.0 */
#include "common/base/large.h"

#include <sys/mman.h>

#ifndef __has_feature
#define __has_feature(name) 0
#endif

#if defined(__SANITIZE_ADDRESS__) || __has_feature(address_sanitizer)
/* AddressSanitizer checks the bounds of malloc(), not of mmap(). */
gpointer large_alloc(gsize bytes)
{
	return g_try_malloc(bytes);
}

void large_rest(gpointer memory, gsize bytes)
{
	(void)memory;
	(void)bytes;
}

void large_free(gpointer memory, gsize bytes)
{
	(void)bytes;
	g_free(memory);
}
#else
gpointer large_alloc(gsize bytes)
{
	void *memory =
		mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return memory == MAP_FAILED ? NULL : memory;
}

void large_rest(gpointer memory, gsize bytes)
{
	madvise(memory, bytes, MADV_DONTNEED);
}

void large_free(gpointer memory, gsize bytes)
{
	if (memory)
		munmap(memory, bytes);
}
#endif
