/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lets user-mode Linux run on processors with more state than it knows, such as those with AMX:
 * loaded into it by uml-run (LD_PRELOAD).
 *
 * It keeps the registers of a process in 2696 bytes (to AVX-512 and PKRU), and the host takes back
 * no less than the whole state: EFAULT, on which the guest dies.  What is missing here is the
 * initial state of the rest, which no process can change unless it asks for it
 * (ARCH_REQ_XCOMP_PERM), which user-mode Linux does not know.
 *
 * Its kernel has one thread that calls ptrace().
 */
#include <cpuid.h>
#include <dlfcn.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/uio.h>

#define NT_X86_XSTATE 0x202
#define XSTATE_BV                                                                                  \
	512 /* where the state says which components are in it: Intel's manual, volume 1, 13.4.2   \
	     */

typedef long PtraceFunction(enum __ptrace_request request, ...);

static _Alignas(64) char state[1 << 16];
static size_t state_size; /* the host's; 0: not known yet */

/* The components that lie in the first `length` bytes (volume 1, 13.5). */
static uint64_t components_within(size_t length)
{
	uint64_t components = 3; /* x87 and SSE have fixed places */
	unsigned size, offset, c, d;

	for (unsigned i = 2; i < 63; i++)
		if (__get_cpuid_count(0xd, i, &size, &offset, &c, &d) && size &&
		    offset + size <= length)
			components |= UINT64_C(1) << i;
	return components;
}

static long set_state(PtraceFunction *next, pid_t pid, const struct iovec *given)
{
	static uint64_t components;
	struct iovec whole = {.iov_base = state, .iov_len = sizeof state};
	uint64_t present;

	if (!state_size) {
		if (next(PTRACE_GETREGSET, pid, (void *)NT_X86_XSTATE, &whole))
			return -1;
		state_size = whole.iov_len;
		components = components_within(given->iov_len);
		memset(state, 0, sizeof state);
	}
	if (given->iov_len >= state_size)
		return next(PTRACE_SETREGSET, pid, (void *)NT_X86_XSTATE, given);
	memcpy(state, given->iov_base, given->iov_len);
	memcpy(&present, state + XSTATE_BV, sizeof present);
	present &= components;
	memcpy(state + XSTATE_BV, &present, sizeof present);
	whole.iov_len = state_size;
	return next(PTRACE_SETREGSET, pid, (void *)NT_X86_XSTATE, &whole);
}

__attribute__((visibility("default"))) long ptrace(enum __ptrace_request request, ...)
{
	static PtraceFunction *next;
	va_list arguments;
	void *address, *data;
	pid_t pid;

	va_start(arguments, request);
	pid = va_arg(arguments, pid_t);
	address = va_arg(arguments, void *);
	data = va_arg(arguments, void *);
	va_end(arguments);
	if (!next)
		*(void **)&next = dlsym(RTLD_NEXT, "ptrace");
	if (request == PTRACE_SETREGSET && (uintptr_t)address == NT_X86_XSTATE)
		return set_state(next, pid, data);
	return next(request, pid, address, data);
}
