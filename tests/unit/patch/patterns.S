// One function per shape of code around a syscall. The tests know them by name.
// Those that are called return getpid() or what their comment says.

        .text
        .macro function name
        .p2align 4
        .globl \name
        .type \name, @function
\name:
        .cfi_startproc
        .endm
        .macro end name
        .cfi_endproc
        .size \name, . - \name
        .endm

        function prev_mov               // the usual one
        mov $39, %eax
        syscall
        ret
        end prev_mov

        function prev_long_mov          // seven bytes
        mov $39, %rax
        syscall
        ret
        end prev_long_mov

        function prev_two               // two short ones; returns close(arg 2) with arg 1 as number
        mov %edi, %eax
        mov %rsi, %rdi
        syscall
        ret
        end prev_two

        function prev_rip_relative      // returns close(number)
        mov $3, %eax
        mov number(%rip), %edi
        syscall
        ret
        end prev_rip_relative

        function follow_cmp             // a branch to the syscall; returns 1 for an error
        mov $3, %eax
        test %edi, %edi
        jne 1f
        nop
1:      syscall
        cmp $-4096, %rax
        ja 2f
        ret
2:      mov $1, %eax
        ret
        end follow_cmp

        function follow_branch          // a short jcc is moved; returns 1 for an error
        mov $3, %eax
        test %edi, %edi
        jne 1f
        nop
1:      syscall
        test %eax, %eax
        js 2f
        ret
2:      mov $1, %eax
        ret
        end follow_branch

        function follow_jump            // a jmp is moved
        mov $39, %eax
        test %edi, %edi
        jne 1f
        nop
1:      syscall
        mov %eax, %ecx
        jmp 2f
        ud2
2:      mov %ecx, %eax
        ret
        end follow_jump

        function follow_ret             // ret and the padding behind it
        mov $39, %eax
        test %edi, %edi
        jne 1f
        nop
1:      syscall
        ret
        nop
        nop
        end follow_ret

        function around                 // two bytes before, two after; returns close(-1) + 1
        mov $3, %ecx
        mov $-1, %edi
        jmp 1f
        ud2
1:      mov %ecx, %eax
        syscall
        inc %eax
        call helper
        ret
        end around

        function around_only_before     // two and two bytes before, nothing after
        mov $3, %ecx
        jmp 1f
        ud2
1:      mov %ecx, %eax
        xor %edi, %edi
        syscall
        call helper
        ret
        end around_only_before

        function not_idempotent         // around, but the moves may not run twice
        mov $3, %ecx
        jmp 1f
        ud2
1:      mov %ecx, %eax
        mov %edi, %ecx
        syscall
        call helper
        ret
        end not_idempotent

        function branch_into            // a loop back into what would be moved
        mov $1000, %ecx
        jmp 1f
        ud2
1:      mov %ecx, %eax
2:      add $1, %rdi
        syscall
        ja 2b
        call helper
        ret
        end branch_into

        function branch_to_start        // the same to its first byte, which harms nothing
        mov $3, %eax
        jmp 2f
        ud2
2:      mov %rsi, %rdi
        syscall
        ja 2b
        call helper
        ret
        end branch_to_start

        function far_branch_into        // the same from a part of its own, far away
        mov $3, %eax
        test %edi, %edi
        je far_part
        mov %edi, %esi
far_entry:
        add $1, %rdi
        syscall
        call helper
        ret
        end far_branch_into

        function adjacent               // no such system calls: -ENOSYS from each
        mov $10000, %eax
        syscall
        syscall
        ret
        nop
        nop
        end adjacent

        function at_start               // called by call_at_start
        syscall
        cmp $-4096, %rax
        ja 1f
1:      ret
        end at_start

        function call_at_start
        mov $39, %eax
        jmp at_start
        end call_at_start

        .p2align 4
        .globl at_end
        .type at_end, @function
at_end: .cfi_startproc
        mov %edi, %eax
        syscall
        .cfi_endproc
        .size at_end, . - at_end
        .globl behind_end
        .type behind_end, @function
behind_end:
        .cfi_startproc
        mov $1, %eax
        ret
        end behind_end

        function trampoline_rax
        mov $15, %rax
        syscall
        end trampoline_rax

        function trampoline_eax
        mov $15, %eax
        syscall
        end trampoline_eax

        .p2align 4
        .globl trampoline_marked
        .type trampoline_marked, @function
trampoline_marked:
        .cfi_startproc
        .cfi_signal_frame
        mov $39, %eax
        syscall
        ret
        end trampoline_marked

        function data_in_text           // only the last 0f 05 is a syscall
        mov $0x050f050f, %ecx
        jmp 1f
        .byte 0x0f, 0x05, 0x0f, 0x05
1:      mov $39, %eax
        syscall
        ret
        end data_in_text

        function over_lock              // as glibc does with one thread
        mov $39, %eax
        test %edi, %edi
        je 1f
        lock
1:      orl $0, -8(%rsp)
        syscall
        call helper
        ret
        end over_lock

        function jump_table             // table entries point into what would be moved
        cmp $2, %edi
        ja .Lcase3
        lea table(%rip), %rdx
        movslq (%rdx,%rdi,4), %rax
        add %rdx, %rax
        jmp *%rax
.Lcase1: mov %esi, %eax
.Lcase2: add $1, %rdi
        syscall
        call helper
.Lcase3: ret
        end jump_table

        function computed_jump          // nobody knows where to
        mov $39, %eax
        syscall
        jmp *%rdi
        end computed_jump

        .p2align 4
        .globl split_unwind             // as glibc's clone: its unwind entry ends before the syscall
        .type split_unwind, @function
split_unwind:
        .cfi_startproc
        mov $39, %eax
        .cfi_endproc
        syscall
        ret
        .size split_unwind, . - split_unwind

        .p2align 4
        .cfi_startproc                  // the same without a symbol
local_split:
        mov $39, %eax
        .cfi_endproc
        syscall
        ret

        .p2align 4
        .globl only_symbol
        .type only_symbol, @function
only_symbol:
        mov $39, %eax
        syscall
        ret
        .size only_symbol, . - only_symbol

        .globl call_local_split
        .type call_local_split, @function
call_local_split:
        .cfi_startproc
        jmp local_split
        end call_local_split

        function helper
        ret
        end helper

        .section .text.far, "ax", @progbits
        .cfi_startproc
far_part:
        mov $7, %esi
        jmp far_entry
        .cfi_endproc

        .section .rodata
        .p2align 2
table:  .long .Lcase1 - table, .Lcase2 - table, .Lcase3 - table

        .data
number: .long -1

        .section .note.GNU-stack, "", @progbits
