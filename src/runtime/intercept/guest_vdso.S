// The guest's vDSO: a shared object of its own, built apart and embedded in the runtime. Each
// function is a jump through the export page; addresses of slots are frozen (abi/export_page.h).

        .text
        .macro vdso name, slot_number
        .globl __vdso_\name
        .type __vdso_\name, @function
        .weak \name
        .type \name, @function
        .balign 16
__vdso_\name:
\name:
        .cfi_startproc
        movabs $(0x7e9000000000 + \slot_number * 16), %rax
        jmp *%rax
        .cfi_endproc
        .size __vdso_\name, . - __vdso_\name
        .size \name, . - \name
        .endm

        // Negative clocks hold a pid: they go through the door, which knows the guest's numbers
        // (slot 1, cairn_entry).
        .macro vdso_clock name, slot_number, call
        .globl __vdso_\name
        .type __vdso_\name, @function
        .weak \name
        .type \name, @function
        .balign 16
__vdso_\name:
\name:
        .cfi_startproc
        test %edi, %edi
        js 1f
        movabs $(0x7e9000000000 + \slot_number * 16), %rax
        jmp *%rax
1:      mov $\call, %eax
        lea 2f(%rip), %rcx            // the way of a patched call: no dispatch is needed for it
        movabs $(0x7e9000000000 + 16), %r11
        jmp *%r11
        syscall                       // the call site, should a signal come first
2:      ret
        .cfi_endproc
        .size __vdso_\name, . - __vdso_\name
        .size \name, . - \name
        .endm

        vdso_clock clock_gettime, 2, 228
        vdso gettimeofday, 3
        vdso time, 4
        vdso_clock clock_getres, 5, 229
        vdso getcpu, 6
        .section .note.GNU-stack, "", @progbits
