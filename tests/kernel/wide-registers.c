/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lets user-mode Linux run on processors with more state than it knows, such as those with AMX, and
 * spares it most of its calls for that state: loaded into it by uml-run (LD_PRELOAD).
 *
 * It keeps the registers of a process in 2696 bytes (to AVX-512 and PKRU), and the host takes back
 * no less than the whole state: EFAULT, on which the guest dies.  What is missing here is the
 * initial state of the rest, which no process can change unless it asks for it
 * (ARCH_REQ_XCOMP_PERM), which user-mode Linux does not know.
 *
 * Its kernel reads the state after each system call, page fault and interrupt of a process, and
 * writes it before the process goes on, mostly as it was; the host allocates memory for each write.
 * Here a state is written when a process is to go on, if it is another one; and read once while the
 * process is stopped.
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

/* What is known of the processes of late, by their numbers. */
#define STOPPED 64
#define LARGEST 4096

typedef struct {
	pid_t pid;
	size_t length; /* of both */
	int has_known, has_wanted;
	char known[LARGEST];  /* what the host has */
	char wanted[LARGEST]; /* what it is to have when the process goes on, where that differs */
} Stopped;

static PtraceFunction *host;
static Stopped stopped[STOPPED];
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

static long write_state(pid_t pid, const struct iovec *given)
{
	static uint64_t components;
	struct iovec whole = {.iov_base = state, .iov_len = sizeof state};
	uint64_t present;

	if (!state_size) {
		if (host(PTRACE_GETREGSET, pid, (void *)NT_X86_XSTATE, &whole))
			return -1;
		state_size = whole.iov_len;
		components = components_within(given->iov_len);
		memset(state, 0, sizeof state);
	}
	if (given->iov_len >= state_size)
		return host(PTRACE_SETREGSET, pid, (void *)NT_X86_XSTATE, given);
	memcpy(state, given->iov_base, given->iov_len);
	memcpy(&present, state + XSTATE_BV, sizeof present);
	present &= components;
	memcpy(state + XSTATE_BV, &present, sizeof present);
	whole.iov_len = state_size;
	return host(PTRACE_SETREGSET, pid, (void *)NT_X86_XSTATE, &whole);
}

/* Writes what is still to be written. */
static long settle(Stopped *process)
{
	struct iovec wanted = {.iov_base = process->wanted, .iov_len = process->length};

	if (!process->has_wanted)
		return 0;
	process->has_wanted = 0;
	return write_state(process->pid, &wanted);
}

/* The process's entry; another one's, which it takes over, is settled before. */
static Stopped *find(pid_t pid)
{
	Stopped *process = &stopped[(unsigned)pid % STOPPED];

	if (process->pid != pid) {
		settle(process);
		process->pid = pid;
		process->has_known = 0;
	}
	return process;
}

static long get_state(pid_t pid, struct iovec *given)
{
	Stopped *process = find(pid);
	const char *from = process->has_wanted ? process->wanted : process->known;
	long result;

	if ((process->has_wanted || process->has_known) && given->iov_len == process->length) {
		memcpy(given->iov_base, from, process->length);
		return 0;
	}
	if (settle(process))
		return -1;
	process->has_known = 0;
	result = host(PTRACE_GETREGSET, pid, (void *)NT_X86_XSTATE, given);
	if (result || given->iov_len > LARGEST)
		return result;
	process->has_known = 1;
	process->length = given->iov_len;
	memcpy(process->known, given->iov_base, given->iov_len);
	return 0;
}

static long set_state(pid_t pid, const struct iovec *given)
{
	Stopped *process = find(pid);

	if (given->iov_len > LARGEST)
		return write_state(pid, given);
	if (process->length != given->iov_len)
		process->has_known = 0;
	process->length = given->iov_len;
	process->has_wanted =
		!process->has_known || memcmp(process->known, given->iov_base, given->iov_len);
	if (process->has_wanted)
		memcpy(process->wanted, given->iov_base, given->iov_len);
	return 0;
}

/* PTRACE_CONT runs a few instructions of user-mode Linux's own in the process, which need no state
 * and may leave another one; each other request that is not below may let the process itself go on.
 */
static long let_go(pid_t pid, enum __ptrace_request request)
{
	Stopped *process = &stopped[(unsigned)pid % STOPPED];

	if (process->pid != pid)
		return 0;
	process->has_known = 0;
	return request == PTRACE_CONT ? 0 : settle(process);
}

__attribute__((visibility("default"))) long ptrace(enum __ptrace_request request, ...)
{
	va_list arguments;
	void *address, *data;
	pid_t pid;

	va_start(arguments, request);
	pid = va_arg(arguments, pid_t);
	address = va_arg(arguments, void *);
	data = va_arg(arguments, void *);
	va_end(arguments);
	if (!host)
		*(void **)&host = dlsym(RTLD_NEXT, "ptrace");
	switch ((int)request) {
	case PTRACE_GETREGS:
	case PTRACE_SETREGS:
		break;
	case PTRACE_GETREGSET:
		if ((uintptr_t)address == NT_X86_XSTATE)
			return get_state(pid, data);
		break;
	case PTRACE_SETREGSET:
		if ((uintptr_t)address == NT_X86_XSTATE)
			return set_state(pid, data);
		break;
	default:
		if (let_go(pid, request))
			return -1;
	}
	return host(request, pid, address, data);
}
