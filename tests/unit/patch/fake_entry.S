// Stands in for the runtime's syscall entry: counts, makes the call, returns to rcx. Flags and all
// registers but rcx and r11 stay as they are, as the real one promises.

        .text
        .globl fake_entry
        .type fake_entry, @function
fake_entry:
        mov %rcx, fake_entry_return(%rip)
        mov fake_entry_calls(%rip), %r11
        lea 1(%r11), %r11
        mov %r11, fake_entry_calls(%rip)
        syscall
        mov fake_entry_return(%rip), %rcx
        jmp *%rcx
        .size fake_entry, . - fake_entry

        .bss
        .globl fake_entry_calls, fake_entry_return
        .p2align 3
fake_entry_calls:  .quad 0
fake_entry_return: .quad 0

        .section .note.GNU-stack, "", @progbits
