#pragma once
// Offsets into ThreadBlock for entry.S; thread_block.h asserts that they are right.

#define TB_SELF 0
#define TB_HOST_STACK 8
#define TB_RETURN 16
#define TB_GUEST_SP 24
#define TB_RAX 32
#define TB_RDI 40
#define TB_RSI 48
#define TB_RDX 56
#define TB_R10 64
#define TB_R8 72
#define TB_R9 80
#define TB_RBX 88
#define TB_RBP 96
#define TB_R12 104
#define TB_R13 112
#define TB_R14 120
#define TB_R15 128
#define TB_FLAGS 136
#define TB_RESULT 144
#define TB_TAIL 152 /* number, then six arguments */
#define TB_POST 208
#define TB_DEFERRED 216
#define TB_CHILD 224
#define TB_VDSO_FUNCTION 232
#define TB_VDSO_SAVED 240 /* rdi rsi rdx rsp rbx rbp r12 r13 r14 r15 */

#define POST_AGAIN -0x7ff00000 /* what no system call returns */

#define ACTION_DONE 0
#define ACTION_TAIL 1
#define ACTION_SIGRETURN 2
#define ACTION_CLONE 3
#define ACTION_RETRY 4
