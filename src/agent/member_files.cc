#include "agent/member_files.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/socket.h>

#include <cstring>

#include "abi/job_files.h"
#include "base/deadline.h"
#include "base/fd.h"
#include "base/unix_socket.h"

namespace cairn::agent {
namespace {

constexpr std::chrono::milliseconds kAsked{1'000};

Result<Fd> open_for_member(const std::string& path, int flags) {
  Fd fd(::open(path.c_str(), flags | O_CLOEXEC, 0600));
  if (!fd.valid()) return os_failure("open for a process of another user", path);
  return fd;
}

}  // namespace

Result<> give_file(int connection, const std::string& segment_path,
                   const abi::JobSegment& segment) {
  CAIRN_ASSIGN(const std::string asked, peek(connection, sizeof(abi::JobFile), Deadline{kAsked}));
  abi::JobFile file{};
  if (asked.size() != sizeof file) return refusal("a process asked for no file");
  std::memcpy(&file, asked.data(), sizeof file);
  const std::string journal = segment.journal;
  Fd fd;
  if (file == abi::JobFile::kJobSegment) {
    CAIRN_ASSIGN(fd, open_for_member(segment_path, O_RDWR));
  } else if (file == abi::JobFile::kJournalLog) {
    CAIRN_ASSIGN(fd, open_for_member(journal + "/log", O_RDWR));
  } else {
    CAIRN_ASSIGN(fd, open_for_member(fmt::format("{}/{}", journal, static_cast<std::uint32_t>(file)),
                                     O_WRONLY | O_CREAT | O_EXCL));
  }
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
  char byte = 0;
  iovec part{&byte, 1};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  cmsghdr* rights = CMSG_FIRSTHDR(&message);
  rights->cmsg_level = SOL_SOCKET;
  rights->cmsg_type = SCM_RIGHTS;
  rights->cmsg_len = CMSG_LEN(sizeof(int));
  const int number = fd.get();
  std::memcpy(CMSG_DATA(rights), &number, sizeof number);
  if (::sendmsg(connection, &message, MSG_NOSIGNAL) != 1) return os_failure("give a file");
  return {};
}

}  // namespace cairn::agent
