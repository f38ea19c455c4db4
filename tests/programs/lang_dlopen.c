// A library loaded before stays usable, one can be loaded and closed afterwards, and
// dl_iterate_phdr and dladdr know both.
//
// flavours: all
#include <dlfcn.h>

#include "check.h"

static double (*load(void** library, const char* name, const char* symbol))(double) {
  double (*function)(double);
  *library = dlopen(name, RTLD_NOW | RTLD_LOCAL);
  if (*library == NULL) check_skip(dlerror());
  *(void**)&function = dlsym(*library, symbol);
  CHECK(function != NULL);
  return function;
}

int main(void) {
  void *before, *after;
  double (*cosine)(double) = load(&before, "libm.so.6", "cos");
  CHECK(cosine(0) == 1);
  check_ready();
  check_wait();
  CHECK(cosine(0) == 1);
  Dl_info info;
  CHECK(dladdr(*(void**)&cosine, &info) != 0);
  CHECK(strstr(info.dli_fname, "libm") != NULL);
  double (*truncated)(double) = load(&after, "libm.so.6", "trunc");
  CHECK(truncated(-2.5) == -2);
  void* compression = dlopen("libz.so.1", RTLD_LAZY);
  if (compression != NULL) {  // a library that is new to the process
    unsigned long (*checksum)(unsigned long, const char*, unsigned);
    *(void**)&checksum = dlsym(compression, "crc32");
    CHECK(checksum != NULL);
    CHECK_EQ(checksum(0, "123456789", 9), 0xcbf43926);
    CHECK_EQ(dlclose(compression), 0);
  }
  CHECK(dlopen("libdoes-not-exist.so", RTLD_NOW) == NULL);
  CHECK(dlerror() != NULL);
  CHECK_EQ(dlclose(after), 0);
  CHECK_EQ(dlclose(before), 0);
  check_pass();
}
