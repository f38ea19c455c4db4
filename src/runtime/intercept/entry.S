// The door's two sides in assembly: the way in and out of a system call, the way of a new thread,
// the vDSO functions, and the program's start. thread_block.h draws the picture; the labels that
// front.cc needs to tell the moments apart are exported.

#include "runtime/host/block_offsets.h"

        .macro global name
        .globl \name
        .hidden \name
        .type \name, @function
\name:
        .endm

        .macro tail_arguments
        mov %gs:TB_TAIL+8, %rdi
        mov %gs:TB_TAIL+16, %rsi
        mov %gs:TB_TAIL+24, %rdx
        mov %gs:TB_TAIL+32, %r10
        mov %gs:TB_TAIL+40, %r8
        mov %gs:TB_TAIL+48, %r9
        .endm

        // ---- the export page (abi/export_page.h) -------------------------------------------
        .section .export_page, "ax", @progbits
        .balign 4096
cairn_export_page:
        .quad 0x314e52494143          // kExportMagic
        .quad 1                       // kSlotsVersion
        .macro slot target
        jmp \target
        .balign 16, 0xcc
        .endm
        slot cairn_entry
        slot cairn_vdso_clock_gettime
        slot cairn_vdso_gettimeofday
        slot cairn_vdso_time
        slot cairn_vdso_clock_getres
        slot cairn_vdso_getcpu
        .balign 4096, 0xcc

        .text
        // ---- the kernel starts us here ------------------------------------------------------
        global cairn_start
        xor %ebp, %ebp
        mov %rsp, %rdi
        lea cairn_boot_stack_top(%rip), %rsp
        call cairn_main
        ud2

        // ---- a system call --------------------------------------------------------------------
        // rax: number, rcx: where to return to. Flags are the guest's: nothing before the syscall
        // instruction may change them, hence jrcxz and a table indexed by 16 bits.
        .balign 64
        global cairn_entry
        mov %rcx, %gs:TB_RETURN
        mov %rax, %gs:TB_RAX          // which call it was, should a park interrupt it
        movzwl %ax, %ecx
        lea cairn_fast_table(%rip), %r11
        movzbl (%r11,%rcx), %ecx
        jrcxz cairn_slow
        global cairn_fast_call
        syscall
        global cairn_fast_done
        mov %gs:TB_RETURN, %rcx
        jmp *%gs:TB_RETURN
        global cairn_fast_end

        global cairn_slow
        mov %rsp, %gs:TB_GUEST_SP
        mov %rdi, %gs:TB_RDI
        mov %rsi, %gs:TB_RSI
        mov %rdx, %gs:TB_RDX
        mov %r10, %gs:TB_R10
        mov %r8, %gs:TB_R8
        mov %r9, %gs:TB_R9
        mov %rbx, %gs:TB_RBX
        mov %rbp, %gs:TB_RBP
        mov %r12, %gs:TB_R12
        mov %r13, %gs:TB_R13
        mov %r14, %gs:TB_R14
        mov %r15, %gs:TB_R15
        mov %gs:TB_HOST_STACK, %rsp
        pushfq
        popq %gs:TB_FLAGS
        cld
cairn_dispatch_call:
        mov %gs:TB_SELF, %rdi
        call cairn_dispatch
        cmp $ACTION_DONE, %rax
        je cairn_exit
        cmpq $0, %gs:TB_DEFERRED      // a signal waits: do not start a call that may block
        jne cairn_retry
        cmp $ACTION_TAIL, %rax
        je cairn_tail
        cmp $ACTION_CLONE, %rax
        je cairn_clone
        cmp $ACTION_SIGRETURN, %rax
        je cairn_sigreturn
        jmp cairn_retry

        // The one system call of the slow path, on the guest's stack. Between cairn_tail and
        // cairn_tail_call (included) the call has not been made.
        global cairn_tail
        cmpq $0, %gs:TB_DEFERRED
        jne cairn_retry
        tail_arguments
        mov %gs:TB_GUEST_SP, %rsp
        mov %gs:TB_TAIL, %rax
        global cairn_tail_call
        syscall
        global cairn_tail_done
        mov %rax, %gs:TB_RESULT
        mov %gs:TB_HOST_STACK, %rsp
        mov %gs:TB_POST, %rcx
        jrcxz cairn_exit
        mov %gs:TB_SELF, %rdi
        mov %rax, %rsi
        call *%rcx
        cmp $POST_AGAIN, %rax         // a call that a park has divided: its next part
        je cairn_retry_slow
        mov %rax, %gs:TB_RESULT

        // The call is made, its result final. From cairn_exit_window on the guest's state is
        // wholly in the block, so that a signal is taken there as if behind the call.
        global cairn_exit
        cmpq $0, %gs:TB_DEFERRED
        global cairn_exit_checked     // a signal from here on finds the call made
        je cairn_exit_window
        mov %gs:TB_SELF, %rdi
        call cairn_prepare_deferred   // the mask's address
        mov $2, %edi
        mov %rax, %rsi
        xor %edx, %edx
        mov $8, %r10d
        mov $14, %eax
        movq $0, %gs:TB_DEFERRED
        syscall
        global cairn_exit_window
        mov %gs:TB_HOST_STACK, %rsp
        pushq %gs:TB_FLAGS
        popfq
        mov %gs:TB_RDI, %rdi
        mov %gs:TB_RSI, %rsi
        mov %gs:TB_RDX, %rdx
        mov %gs:TB_R10, %r10
        mov %gs:TB_R8, %r8
        mov %gs:TB_R9, %r9
        mov %gs:TB_RBX, %rbx
        mov %gs:TB_RBP, %rbp
        mov %gs:TB_R12, %r12
        mov %gs:TB_R13, %r13
        mov %gs:TB_R14, %r14
        mov %gs:TB_R15, %r15
        mov %gs:TB_FLAGS, %r11
        mov %gs:TB_GUEST_SP, %rsp
        mov %gs:TB_RESULT, %rax
        mov %gs:TB_RETURN, %rcx
        jmp *%gs:TB_RETURN
        global cairn_exit_end

        // The call is not made; the guest is to meet the waiting signal at its call site. The kick
        // that cairn_prepare_deferred sends arrives at the latest behind rt_sigprocmask.
        global cairn_retry
        mov %gs:TB_HOST_STACK, %rsp
        cmpq $0, %gs:TB_DEFERRED
        global cairn_retry_checked    // a signal from here on finds it not made
        je cairn_retry_window
        mov %gs:TB_SELF, %rdi
        call cairn_prepare_deferred
        mov $2, %edi
        mov %rax, %rsi
        xor %edx, %edx
        mov $8, %r10d
        mov $14, %eax
        movq $0, %gs:TB_DEFERRED
        syscall
        global cairn_retry_window
        mov %gs:TB_RAX, %rax          // nothing came (or it was ignored): go through the door again
        mov %gs:TB_RDI, %rdi
        mov %gs:TB_RSI, %rsi
        mov %gs:TB_RDX, %rdx
        mov %gs:TB_R10, %r10
        mov %gs:TB_R8, %r8
        mov %gs:TB_R9, %r9
        mov %gs:TB_GUEST_SP, %rsp
        mov %gs:TB_RETURN, %rcx
        jmp cairn_retry_slow
        global cairn_retry_end
cairn_retry_slow:
        mov %gs:TB_HOST_STACK, %rsp   // flags and callee-saved registers are still in the block
        jmp cairn_dispatch_call

        // ---- the end of a guest's signal handler ----------------------------------------------
        global cairn_sigreturn
        cmpq $0, %gs:TB_DEFERRED
        jne cairn_retry
        mov %gs:TB_TAIL+8, %rsp
        mov $15, %eax
        global cairn_sigreturn_call
        syscall
        global cairn_sigreturn_done
        ud2

        // The restorer of the front handler's own frames.
        global cairn_restorer
        mov $15, %eax
        syscall
        ud2

        // cairn_sigreturn_to(frame): leaves the host through a frame that we made.
        global cairn_sigreturn_to
        mov %rdi, %rsp
        mov $15, %eax
        syscall
        ud2

        // ---- a new thread or process ------------------------------------------------------------
        // All signals are blocked. The child's block travels in rbx; a child with memory of its own
        // finds its copy of the parent's.
        global cairn_clone
        tail_arguments
        mov %gs:TB_CHILD, %rbx
        mov %gs:TB_GUEST_SP, %rsp
        mov %gs:TB_TAIL, %rax
        syscall
        test %rax, %rax
        jz cairn_clone_child
        mov %rax, %gs:TB_RESULT
        mov %gs:TB_HOST_STACK, %rsp
        mov %gs:TB_SELF, %rdi
        mov %rax, %rsi
        call cairn_clone_parent
        mov %rax, %gs:TB_RESULT
        jmp cairn_exit
cairn_clone_child:
        mov %rsp, TB_GUEST_SP(%rbx)
        mov TB_HOST_STACK(%rbx), %rsp
        mov %rbx, %rdi
        call cairn_clone_child_start
        movq $0, %gs:TB_RESULT
        jmp cairn_exit

        // cairn_exit_thread(in_use, status): the block is free once *in_use is 0, and another
        // thread may take it and its stacks; all signals are blocked.
        global cairn_exit_thread
        movl $0, (%rdi)
        mov %esi, %edi
        mov $60, %eax
        syscall
        ud2

        // cairn_spawn(flags, stack, block, function): a thread of the restore; returns its tid.
        global cairn_spawn
        push %rbx
        push %r12
        mov %rdx, %rbx
        mov %rcx, %r12
        xor %edx, %edx
        xor %r10d, %r10d
        xor %r8d, %r8d
        mov $56, %eax
        syscall
        test %rax, %rax
        jz 1f
        pop %r12
        pop %rbx
        ret
1:      xor %ebp, %ebp
        mov %rbx, %rdi
        call *%r12
        ud2

        // ---- vDSO functions ------------------------------------------------------------------------
        // Called from the guest's vDSO (a jump through the export page). A moment inside the real
        // function is turned into one before its call: the functions only write their results.
        //   [name, name_call)      registers are as the caller left them
        //   [name_call, name_end)  and inside the kernel's vdso: they are in TB_VDSO_SAVED
        .macro vdso name, slot_number, real
        .balign 16
        global cairn_vdso_\name
        mov %rdi, %gs:TB_VDSO_SAVED
        mov %rsi, %gs:TB_VDSO_SAVED+8
        mov %rdx, %gs:TB_VDSO_SAVED+16
        mov %rsp, %gs:TB_VDSO_SAVED+24
        mov %rbx, %gs:TB_VDSO_SAVED+32
        mov %rbp, %gs:TB_VDSO_SAVED+40
        mov %r12, %gs:TB_VDSO_SAVED+48
        mov %r13, %gs:TB_VDSO_SAVED+56
        mov %r14, %gs:TB_VDSO_SAVED+64
        mov %r15, %gs:TB_VDSO_SAVED+72
        movq $\slot_number, %gs:TB_VDSO_FUNCTION
        global cairn_vdso_\name\()_call
        call *\real(%rip)
        .endm

        vdso clock_gettime, 2, cairn_real_clock_gettime
        cmpl $0, cairn_clocks_shifted(%rip)
        jne 1f
        ret
1:      test %eax, %eax
        jnz 2f
        mov %gs:TB_VDSO_SAVED, %rdi
        mov %gs:TB_VDSO_SAVED+8, %rsi
        sub $8, %rsp
        call cairn_shift_clock
        cmpq $0, %gs:TB_DEFERRED      // a signal came inside cairn_shift_clock: let it in now
        je 3f
        mov %gs:TB_SELF, %rdi
        call cairn_prepare_deferred
        mov $2, %edi
        mov %rax, %rsi
        xor %edx, %edx
        mov $8, %r10d
        mov $14, %eax
        movq $0, %gs:TB_DEFERRED
        syscall
3:      add $8, %rsp
        xor %eax, %eax
2:      ret
        vdso gettimeofday, 3, cairn_real_gettimeofday
        ret
        vdso time, 4, cairn_real_time
        ret
        vdso clock_getres, 5, cairn_real_clock_getres
        ret
        vdso getcpu, 6, cairn_real_getcpu
        ret
        global cairn_vdso_end

        // Where the kernel offers no vDSO: the same functions as system calls.
        global cairn_plain_clock_gettime
        mov $228, %eax
        syscall
        ret
        global cairn_plain_gettimeofday
        mov $96, %eax
        syscall
        ret
        global cairn_plain_time
        mov $201, %eax
        syscall
        ret
        global cairn_plain_clock_getres
        mov $229, %eax
        syscall
        ret
        global cairn_plain_getcpu
        mov $309, %eax
        syscall
        ret

        global cairn_copy_end_of_plain

        // ---- copies to and from guest memory that may fault -------------------------------------------
        // cairn_copy(to, from, bytes): 0, or -EFAULT by front.cc moving rip to cairn_copy_fault.
        global cairn_copy
        mov %rdx, %rcx
        global cairn_copy_fault_first
        rep movsb
        global cairn_copy_fault_last
        xor %eax, %eax
        ret
        global cairn_copy_fault
        mov $-14, %rax
        ret

        .bss
        .balign 4096
cairn_boot_stack:
        .skip 262144
        .globl cairn_boot_stack_top
        .hidden cairn_boot_stack_top
cairn_boot_stack_top:

        .section .note.GNU-stack, "", @progbits
