// The header stands alone, is C++, and may be in several files of a program.
#include <cairn/cairn.h>

int version_seen_by_cpp() { return cairn_version(); }
