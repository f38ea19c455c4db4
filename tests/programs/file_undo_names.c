// flavours: all
// run-on: always
// Names that are made, removed, moved and exchanged after the commit are what they were after a
// restart, by every call that does it: relative, at a directory, through links, of every type.
#include <fcntl.h>
#include <linux/fs.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include "check.h"

static int root;

static void write_file(const char* name, const char* text, mode_t mode) {
  int fd = (int)CHECK_SYS(openat(root, name, O_WRONLY | O_CREAT | O_TRUNC, mode));
  CHECK_EQ(write(fd, text, strlen(text)), (long long)strlen(text));
  close(fd);
}

static void expect_file(const char* name, const char* text) {
  char got[64] = "";
  int fd = (int)CHECK_SYS(openat(root, name, O_RDONLY));
  CHECK(read(fd, got, sizeof(got) - 1) >= 0);
  close(fd);
  CHECK_STR(got, text);
}

static void expect_nothing(const char* name) {
  struct stat info;
  errno = 0;
  if (fstatat(root, name, &info, AT_SYMLINK_NOFOLLOW) == 0)
    check_fail(__FILE__, __LINE__, "%s is there", name);
  CHECK_EQ(errno, ENOENT);
}

static mode_t type_of(const char* name) {
  struct stat info;
  CHECK_SYS(fstatat(root, name, &info, AT_SYMLINK_NOFOLLOW));
  return info.st_mode;
}

static const char* const kMade[] = {"made",      "made.creat",   "made.dir/deep", "made.dir",
                                    "made.link", "made.symlink", "made.fifo",     "made.socket",
                                    "made.node", "made.tmpfile", "led",           "renamed.in"};

static void build(void) {
  umask(022);
  char target[16];
  CHECK_SYS(mkdirat(root, "dir", 0750));
  CHECK_SYS(mkdirat(root, "empty", 0711));
  CHECK_SYS(mkdirat(root, "moved.dir", 0755));
  write_file("dir/file", "in a directory", 0644);
  write_file("moved.dir/file", "moves along", 0644);
  write_file("removed", "removed later", 0640);
  write_file("removed.empty", "", 0604);
  write_file("renamed", "renamed later", 0644);
  write_file("replaced", "replaced later", 0600);
  write_file("twice", "has two names", 0644);
  write_file("a", "exchanged a", 0644);
  write_file("b", "exchanged b", 0644);
  CHECK_SYS(linkat(root, "twice", root, "twice.other", 0));
  CHECK_SYS(symlinkat("nowhere/at all", root, "symlink"));
  CHECK_SYS(symlinkat("led", root, "leads"));
  CHECK_SYS(mkfifoat(root, "fifo", 0604));
  CHECK_EQ(readlinkat(root, "symlink", target, sizeof(target)), 14);
}

static void verify(void) {
  char target[16] = "";
  struct stat info, other;
  expect_file("dir/file", "in a directory");
  expect_file("moved.dir/file", "moves along");
  expect_file("removed", "removed later");
  expect_file("removed.empty", "");
  expect_file("renamed", "renamed later");
  expect_file("replaced", "replaced later");
  expect_file("a", "exchanged a");
  expect_file("b", "exchanged b");
  CHECK_EQ(type_of("removed") & 07777, 0640);
  CHECK_EQ(type_of("removed.empty") & 07777, 0604);
  CHECK_EQ(type_of("replaced") & 07777, 0600);
  CHECK_EQ(type_of("empty"), S_IFDIR | 0711);
  CHECK_EQ(type_of("fifo"), S_IFIFO | 0604);
  CHECK_SYS(fstatat(root, "twice", &info, 0));
  CHECK_SYS(fstatat(root, "twice.other", &other, 0));
  CHECK_EQ(info.st_ino, other.st_ino);
  CHECK_EQ(info.st_nlink, 2);
  CHECK_SYS(fstatat(root, "renamed", &info, 0));
  CHECK_EQ(info.st_nlink, 1);
  CHECK_EQ(readlinkat(root, "symlink", target, sizeof(target)), 14);
  CHECK_STR(target, "nowhere/at all");
  for (size_t i = 0; i < sizeof(kMade) / sizeof(kMade[0]); ++i) expect_nothing(kMade[i]);
  expect_nothing("renamed.away");
  expect_nothing("moved.again");
}

static void make_names(void) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  char place[64];
  write_file("made", "new", 0644);
  CHECK_SYS(close((int)CHECK_SYS(creat("made.creat", 0600))));
  CHECK_SYS(mkdir("made.dir", 0700));
  write_file("made.dir/deep", "below", 0644);
  CHECK_SYS(link("renamed", "made.link"));
  CHECK_SYS(symlinkat("dir", root, "made.symlink"));
  CHECK_SYS(mkfifo("made.fifo", 0600));
  CHECK_SYS(mknodat(root, "made.node", S_IFREG | 0600, 0));
  int s = (int)CHECK_SYS(socket(AF_UNIX, SOCK_STREAM, 0));
  strcpy(address.sun_path, "made.socket");
  CHECK_SYS(bind(s, (struct sockaddr*)&address, sizeof(address)));
  CHECK_SYS(close(s));
  int unnamed = open(".", O_TMPFILE | O_RDWR, 0600);  // not on every file system
  if (unnamed >= 0) {
    snprintf(place, sizeof(place), "/proc/self/fd/%d", unnamed);
    CHECK_SYS(linkat(AT_FDCWD, place, root, "made.tmpfile", AT_SYMLINK_FOLLOW));
    close(unnamed);
  }
  CHECK_SYS(close((int)CHECK_SYS(open("leads", O_WRONLY | O_CREAT, 0600))));  // makes "led"
  write_file("renamed.in.tmp", "written and renamed", 0644);
  CHECK_SYS(rename("renamed.in.tmp", "renamed.in"));
}

static void change_names(void) {
  CHECK_SYS(unlink("removed"));
  CHECK_SYS(unlinkat(root, "removed.empty", 0));
  CHECK_SYS(unlink("twice"));
  struct stat left;
  CHECK_SYS(stat("twice.other", &left));
  CHECK_EQ(left.st_nlink, 1);
  CHECK_SYS(unlink("symlink"));
  CHECK_SYS(unlink("fifo"));
  CHECK_SYS(rmdir("empty"));
  CHECK_SYS(rename("renamed", "renamed.away"));
  CHECK_SYS(renameat(root, "moved.dir", root, "moved.again"));
  write_file("moved.again/file", "changed where it is now", 0644);
  write_file("replaced.tmp", "the replacement", 0644);
  CHECK_SYS(renameat(root, "replaced.tmp", AT_FDCWD, "replaced"));
  write_file("replaced", "once more, in place", 0644);
  if (syscall(SYS_renameat2, root, "a", root, "b", RENAME_EXCHANGE) == 0) unlinkat(root, "b", 0);
  CHECK_ERRNO(syscall(SYS_renameat2, root, "replaced", root, "dir", RENAME_NOREPLACE), EEXIST);
  CHECK_ERRNO(rmdir("dir"), ENOTEMPTY);
  CHECK_ERRNO(unlink("was never there"), ENOENT);
  CHECK_ERRNO(mkdir("dir", 0700), EEXIST);
}

static void hook(void) {
  make_names();
  change_names();
  // Some of it once more, in another order.
  write_file("removed", "another one", 0666);
  CHECK_SYS(unlink("made"));
  write_file("made", "again", 0644);
  CHECK_SYS(rename("made", "removed"));
  CHECK_SYS(mkdir("empty", 0700));
  write_file("empty/file", "no longer", 0600);
}

int main(void) {
  CHECK_SYS(mkdir(check_path("names"), 0700));
  root = (int)CHECK_SYS(open(check_path("names"), O_RDONLY | O_DIRECTORY));
  CHECK_SYS(fchdir(root));
  build();
  check_on_run_on(hook);
  check_ready();
  check_wait();
  verify();
  check_pass();
}
