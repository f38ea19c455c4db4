// Pipes between parent and child, with unread data both ways; the end of one is the end of file of
// the other, so no end may be left open anywhere.
// flavours: all
// not: busy because a program that begins anew by exec leaves its children behind
#include "child.h"

static int g_to_child[2], g_to_parent[2];

static void talk(void) {
  char bytes[5000], byte;
  CHECK_SYS(close(g_to_child[1]));
  CHECK_SYS(close(g_to_parent[0]));
  for (size_t done = 0; done < sizeof bytes;)
    done += (size_t)CHECK_SYS(read(g_to_child[0], bytes + done, sizeof bytes - done));
  CHECK_BYTES(bytes, sizeof bytes, 1);
  CHECK_EQ(read(g_to_child[0], &byte, 1), 0);
}

int main(void) {
  char bytes[5000], byte;
  CHECK_SYS(pipe(g_to_child));
  CHECK_SYS(pipe(g_to_parent));
  check_fill(bytes, 3000, 2);
  CHECK_EQ(write(g_to_parent[1], bytes, 3000), 3000);
  const check_child child = check_child_start(talk);
  CHECK_SYS(close(g_to_child[0]));
  CHECK_SYS(close(g_to_parent[1]));
  check_fill(bytes, sizeof bytes, 1);
  CHECK_EQ(write(g_to_child[1], bytes, 4000), 4000);
  check_ready();
  check_wait();
  CHECK_EQ(write(g_to_child[1], bytes + 4000, 1000), 1000);
  CHECK_SYS(close(g_to_child[1]));
  CHECK_EQ(read(g_to_parent[0], bytes, sizeof bytes), 3000);
  CHECK_BYTES(bytes, 3000, 2);
  check_child_finish(child);
  CHECK_EQ(read(g_to_parent[0], &byte, 1), 0);
  check_pass();
}
