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

        // Negative clocks hold a pid: they go through the door, which knows the guest's numbers.
        .globl __vdso_clock_gettime
        .type __vdso_clock_gettime, @function
        .weak clock_gettime
        .type clock_gettime, @function
        .balign 16
__vdso_clock_gettime:
clock_gettime:
        .cfi_startproc
        test %edi, %edi
        js 1f
        movabs $(0x7e9000000000 + 2 * 16), %rax
        jmp *%rax
1:      mov $228, %eax
        syscall
        ret
        .cfi_endproc
        .size __vdso_clock_gettime, . - __vdso_clock_gettime
        .size clock_gettime, . - clock_gettime

        vdso gettimeofday, 3
        vdso time, 4
        vdso clock_getres, 5
        vdso getcpu, 6
        .section .note.GNU-stack, "", @progbits
