// flavours: all
// run-on: always
// Files that are opened only after the commit and then overwritten, cut, appended to, mapped or
// removed are what they were after a restart; their holes, modes and times too.
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "check.h"

enum { kBytes = 300001, kLarge = 3 << 20, kFiles = 9 };
static const off_t kSparse = 5LL << 30;

static const char* const kNames[kFiles] = {"written", "cut",     "truncated", "appended", "mapped",
                                           "removed", "punched", "log",       "read"};
static struct stat before[kFiles], sparse_before, large_before;

static void make(const char* name, size_t bytes, uint64_t seed) {
  static char data[kLarge];
  check_fill(data, bytes, seed);
  int fd = (int)CHECK_SYS(open(check_path(name), O_WRONLY | O_CREAT | O_EXCL, 0640));
  CHECK_EQ(write(fd, data, bytes), (long long)bytes);
  CHECK_SYS(close(fd));
}

static void verify(const char* name, size_t bytes, uint64_t seed, const struct stat* then) {
  static char data[kLarge + 1];
  struct stat info;
  int fd = (int)CHECK_SYS(open(check_path(name), O_RDONLY));
  CHECK_SYS(fstat(fd, &info));
  CHECK_EQ(info.st_size, (long long)bytes);
  CHECK_EQ(read(fd, data, sizeof(data)), (long long)bytes);
  CHECK_BYTES(data, bytes, seed);
  CHECK_EQ(info.st_mode, then->st_mode);
  CHECK_EQ(info.st_mtim.tv_sec, then->st_mtim.tv_sec);
  CHECK_EQ(info.st_mtim.tv_nsec, then->st_mtim.tv_nsec);
  CHECK_SYS(close(fd));
}

static int open_it(const char* name, int flags) {
  return (int)CHECK_SYS(open(check_path(name), flags));
}

static void append(const char* name) {
  int fd = open_it(name, O_WRONLY | O_APPEND);
  CHECK_EQ(write(fd, "more", 4), 4);
  CHECK_SYS(close(fd));
}

static void hook(void) {
  int fd = open_it("written", O_RDWR);
  CHECK_EQ(pwrite(fd, "XXXX", 4, 1000), 4);
  CHECK_EQ(pwrite(fd, "YYYY", 4, kBytes + 5000), 4);
  CHECK_SYS(close(fd));
  fd = open_it("cut", O_WRONLY | O_TRUNC);
  CHECK_EQ(write(fd, "short", 5), 5);
  CHECK_SYS(close(fd));
  CHECK_SYS(truncate(check_path("truncated"), 10));
  append("appended");
  append("appended");
  fd = open_it("mapped", O_RDWR);
  char* map = mmap(NULL, kBytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  CHECK(map != MAP_FAILED);
  CHECK_SYS(close(fd));
  memset(map + 4096, 'm', 10000);
  fd = open_it("removed", O_RDWR);
  CHECK_EQ(write(fd, "first written, then removed", 27), 27);
  CHECK_SYS(unlink(check_path("removed")));
  CHECK_SYS(close(fd));
  fd = open_it("punched", O_RDWR);
  (void)fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 8192, 65536);
  CHECK_SYS(close(fd));
  // Appended to, then cut through the same descriptor: the length alone would not do.
  fd = open_it("log", O_RDWR | O_APPEND);
  CHECK_EQ(write(fd, "line", 4), 4);
  CHECK_SYS(ftruncate(fd, 100));
  CHECK_EQ(write(fd, "begun anew", 10), 10);
  CHECK_SYS(close(fd));
  fd = open_it("sparse", O_RDWR);
  CHECK_EQ(pwrite(fd, "in a hole", 9, 1LL << 32), 9);
  CHECK_EQ(pwrite(fd, "over data", 9, 0), 9);
  CHECK_SYS(close(fd));
  CHECK_SYS(unlink(check_path("large")));
  make("large", 100, 77);
  fd = open_it("read", O_RDONLY);
  CHECK_SYS(close(fd));
}

int main(void) {
  char start[9] = "", middle[9];
  struct stat info;
  for (int i = 0; i < kFiles; ++i) make(kNames[i], kBytes, (uint64_t)i + 1);
  make("large", kLarge, 50);
  int fd = (int)CHECK_SYS(open(check_path("sparse"), O_RDWR | O_CREAT, 0600));
  CHECK_EQ(pwrite(fd, "beginning", 9, 0), 9);
  CHECK_EQ(pwrite(fd, "the end", 7, kSparse), 7);
  CHECK_SYS(close(fd));
  for (int i = 0; i < kFiles; ++i) CHECK_SYS(stat(check_path(kNames[i]), &before[i]));
  CHECK_SYS(stat(check_path("sparse"), &sparse_before));
  CHECK_SYS(stat(check_path("large"), &large_before));

  check_on_run_on(hook);
  check_ready();
  check_wait();

  for (int i = 0; i < kFiles; ++i) verify(kNames[i], kBytes, (uint64_t)i + 1, &before[i]);
  verify("large", kLarge, 50, &large_before);
  fd = (int)CHECK_SYS(open(check_path("sparse"), O_RDONLY));
  CHECK_EQ(pread(fd, start, 9, 0), 9);
  CHECK(memcmp(start, "beginning", 9) == 0);
  CHECK_EQ(pread(fd, middle, 9, 1LL << 32), 9);
  for (int i = 0; i < 9; ++i) CHECK_EQ(middle[i], 0);
  CHECK_EQ(pread(fd, start, 7, kSparse), 7);
  CHECK(memcmp(start, "the end", 7) == 0);
  CHECK_SYS(fstat(fd, &info));
  CHECK_EQ(info.st_size, sparse_before.st_size);
  CHECK(info.st_blocks < 1000);
  check_pass();
}
