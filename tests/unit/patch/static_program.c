// A static program with libc inside: no .eh_frame_hdr on glibc before 2.37, syscalls all over.
#include <stdio.h>
#include <unistd.h>

int main(void) { return printf("%d\n", (int)getpid()) < 0; }
