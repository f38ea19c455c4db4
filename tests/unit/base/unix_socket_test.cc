#include "base/unix_socket.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <cstdlib>

namespace cairn {
namespace {

using std::chrono::milliseconds;

const Deadline kSoon() { return Deadline{milliseconds(5000)}; }

class UnixSocket : public testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/cairn-test-XXXXXX";
    ASSERT_NE(::mkdtemp(name), nullptr);
    directory_ = name;
  }
  void TearDown() override { std::filesystem::remove_all(directory_); }

  std::filesystem::path directory_;
};

std::pair<Fd, Fd> socket_pair() {
  int ends[2];
  EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
  return {Fd(ends[0]), Fd(ends[1])};
}

TEST_F(UnixSocket, TellsWhoConnects) {
  const auto path = directory_ / "s";
  auto listener = listen_unix(path);
  ASSERT_TRUE(listener);
  struct stat st{};
  ASSERT_EQ(::stat(path.c_str(), &st), 0);
  EXPECT_EQ(st.st_mode & 0777, 0600U);
  auto client = connect_unix(path);
  ASSERT_TRUE(client);
  auto peer = accept_unix(listener->get());
  ASSERT_TRUE(peer);
  EXPECT_EQ(peer->pid, ::getpid());
}

TEST_F(UnixSocket, APathThatIsTooLongIsRefused) {
  const auto path = directory_ / std::string(200, 'x');
  ASSERT_FALSE(listen_unix(path));
  EXPECT_EQ(connect_unix(path).error().code, ENAMETOOLONG);
}

TEST(Peek, LeavesTheBytes) {
  auto [a, b] = socket_pair();
  ASSERT_EQ(::send(a.get(), "hello", 5, 0), 5);
  EXPECT_EQ(peek(b.get(), 2, kSoon()), "he");
  EXPECT_EQ(peek(b.get(), 64, kSoon()), "hello");
  EXPECT_EQ(peek(a.get(), 1, Deadline{milliseconds(1)}).error().code, ETIMEDOUT);
  b.reset();
  EXPECT_EQ(peek(a.get(), 1, kSoon()).error().code, ECONNRESET);
}

TEST(JsonLines, WholeMessagesInOrder) {
  auto [a, b] = socket_pair();
  JsonLines left(std::move(a));
  JsonLines right(std::move(b));
  ASSERT_TRUE(left.send({{"n", 1}}));
  ASSERT_TRUE(left.send({{"text", "line\nbreak"}}));
  EXPECT_EQ((*right.receive(kSoon()))["n"], 1);
  EXPECT_EQ((*right.receive(kSoon()))["text"], "line\nbreak");
  EXPECT_EQ(right.receive(Deadline{milliseconds(1)}).error().code, ETIMEDOUT);
}

TEST(JsonLines, BytesThatAreNoUtf8DoNotThrow) {
  auto [a, b] = socket_pair();
  JsonLines left(std::move(a));
  JsonLines right(std::move(b));
  ASSERT_TRUE(left.send({{"path", "/tmp/\xff\xfe"}}));
  const auto message = right.receive(kSoon());
  ASSERT_TRUE(message);
  EXPECT_EQ((*message)["path"].get<std::string>().substr(0, 5), "/tmp/");
}

TEST(JsonLines, NonsenseAndTheEndAreErrors) {
  auto [a, b] = socket_pair();
  JsonLines right(std::move(b));
  ASSERT_EQ(::send(a.get(), "{\"a\":\n[1]\n{\"b\"", 14, 0), 14);
  EXPECT_EQ(right.receive(kSoon()).error().code, EPROTO);
  EXPECT_EQ(right.receive(kSoon()).error().code, EPROTO);  // not an object
  a.reset();
  EXPECT_EQ(right.receive(kSoon()).error().code, ECONNRESET);
}

TEST(JsonLines, AnEndlessLineIsAnError) {
  auto [a, b] = socket_pair();
  JsonLines right(std::move(b));
  const std::string piece(64 << 10, 'x');
  Result<Json> received = failure(0, "");
  // Both ends are here, so what is sent must be received in between.
  for (int i = 0; i < 40; ++i) {
    ASSERT_GT(::send(a.get(), piece.data(), piece.size(), 0), 0);
    received = right.receive(Deadline{milliseconds(1)});
    if (received.error().code != ETIMEDOUT) break;
  }
  EXPECT_EQ(received.error().code, EMSGSIZE);
}

}  // namespace
}  // namespace cairn
