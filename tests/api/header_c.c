// The header stands alone and is C99.
#include <cairn/cairn.h>

int main(void) { return cairn_version(); }
