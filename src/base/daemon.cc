#include "base/daemon.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <filesystem>

#include "base/files.h"

namespace cairn {
namespace {

char* arguments_start = nullptr;
char* arguments_end = nullptr;

// A report is one of these and then text; the pipe's end closes it.
constexpr char kReady = 'R';
constexpr char kFailed = 'F';

// Kernels before 5.9 lack close_range.
void close_one_by_one(const std::vector<int>& keep) {
  std::vector<int> open;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd", error))
    open.push_back(std::atoi(entry.path().filename().c_str()));
  for (const int fd : open)
    if (fd > 2 && std::find(keep.begin(), keep.end(), fd) == keep.end()) ::close(fd);
}

void close_descriptors(std::vector<int> keep) {
  std::sort(keep.begin(), keep.end());
  unsigned from = 3;
  for (const int fd : keep) {
    const auto number = static_cast<unsigned>(fd);
    if (number > from) ::close_range(from, number - 1, 0);
    from = std::max(from, number + 1);
  }
  if (::close_range(from, ~0U, 0) != 0) close_one_by_one(keep);
}

// Blocked rather than ignored would do too, but helper programs inherit neither this way.
void ignore_signals() {
  struct sigaction action{};
  action.sa_handler = SIG_DFL;
  for (int signal = 1; signal < 65; ++signal) ::sigaction(signal, &action, nullptr);
  action.sa_handler = SIG_IGN;
  for (const int signal : {SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGPIPE, SIGUSR1, SIGUSR2, SIGALRM,
                           SIGTSTP, SIGTTIN, SIGTTOU, SIGXCPU, SIGXFSZ, SIGIO, SIGPWR, SIGVTALRM,
                           SIGPROF})
    ::sigaction(signal, &action, nullptr);
  for (int signal = SIGRTMIN; signal <= SIGRTMAX; ++signal) ::sigaction(signal, &action, nullptr);
  sigset_t none;
  sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
}

void detach_standard_descriptors() {
  const int null = ::open("/dev/null", O_RDWR);
  for (int fd = 0; fd < 3; ++fd)
    if (null != fd) ::dup2(null, fd);
  if (null > 2) ::close(null);
}

// Away from the standard descriptors: where one of those is closed, pipe(2) would take its number.
Result<std::pair<Fd, Fd>> high_pipe() {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return os_failure("pipe");
  std::pair<Fd, Fd> pipe{Fd(ends[0]), Fd(ends[1])};
  for (Fd* end : {&pipe.first, &pipe.second}) {
    if (end->get() > 2) continue;
    *end = Fd(::fcntl(end->get(), F_DUPFD_CLOEXEC, 3));
    if (!end->valid()) return os_failure("pipe");
  }
  return pipe;
}

// A child without an exit signal: the caller's SIGCHLD, pending or handled, stays what it was.
pid_t silent_fork() { return static_cast<pid_t>(::syscall(SYS_clone, 0, 0, 0, 0, 0)); }

Result<std::string> read_report(int pipe, const Deadline& deadline) {
  std::string report;
  for (;;) {
    pollfd entry{.fd = pipe, .events = POLLIN, .revents = 0};
    const int ready = ::poll(&entry, 1, deadline.poll_timeout());
    if (ready < 0 && errno != EINTR) return os_failure("poll");
    if (ready <= 0) {
      if (deadline.passed()) return failure(ETIMEDOUT, "wait for the agent to start");
      continue;
    }
    char buffer[4096];
    const ssize_t n = ::read(pipe, buffer, sizeof buffer);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return os_failure("read the agent's report");
    if (n == 0) return report;
    report.append(buffer, static_cast<std::size_t>(n));
  }
}

}  // namespace

void remember_arguments(int argc, char** argv) {
  if (argc < 1) return;
  arguments_start = argv[0];
  arguments_end = argv[argc - 1] + std::strlen(argv[argc - 1]) + 1;
}

void set_title(const std::string& title) {
  ::prctl(PR_SET_NAME, "cairn-agent");
  if (arguments_start == nullptr) return;
  const auto space = static_cast<std::size_t>(arguments_end - arguments_start);
  std::memset(arguments_start, 0, space);
  std::memcpy(arguments_start, title.data(), std::min(title.size(), space - 1));
}

void ReadyReport::send(const std::string& bytes) {
  // The starter may be gone; then nobody wants to know.
  [[maybe_unused]] const auto sent = write_all(pipe_.get(), bytes);
}

void ReadyReport::end(const std::string& bytes) {
  send(bytes);
  pipe_.reset();
}

void ReadyReport::outcome(char kind, int code, const std::string& text) {
  end(std::string(1, kind) + std::to_string(code) + "\n" + text);
}

void ReadyReport::ready(const std::string& answer) { outcome(kReady, 0, answer); }

void ReadyReport::failed(const Error& error) {
  outcome(kFailed, error.code, error.where.empty() ? error.tried : error.tried + " " + error.where);
}

Result<Fd> launch_daemon(const std::string& title, std::vector<int> keep, DaemonBody body,
                         void* context) {
  CAIRN_ASSIGN(auto pipe, high_pipe());
  auto& [reader, writer] = pipe;

  const pid_t middle = silent_fork();
  if (middle < 0) return os_failure("fork");
  if (middle == 0) {
    ::setsid();
    // glibc's fork, so that the daemon's libc knows its own thread id.
    const pid_t daemon = ::fork();
    if (daemon != 0) ::_exit(daemon < 0 ? 1 : 0);
    keep.push_back(writer.get());
    detach_standard_descriptors();
    close_descriptors(std::move(keep));
    ignore_signals();
    set_title(title);
    // The directory that the job was started in must stay removable and unmountable.
    if (::chdir("/") != 0) ::_exit(1);
    (void)reader.release();
    body(context, ReadyReport(std::move(writer)));
    ::_exit(0);
  }
  writer.reset();
  int status = 0;
  // __WALL: a child without an exit signal is otherwise not waited for. Before any exec: the kernel
  // sends SIGCHLD after all to a parent that has become another program (do_notify_parent).
  while (::waitpid(middle, &status, __WALL) < 0 && errno == EINTR) {
  }
  return std::move(reader);
}

Result<std::string> start_daemon(const std::string& title, std::vector<int> keep,
                                 const Deadline& deadline, DaemonBody body, void* context) {
  CAIRN_ASSIGN(const Fd reader, launch_daemon(title, std::move(keep), body, context));
  CAIRN_ASSIGN(const std::string report, read_report(reader.get(), deadline));
  const std::size_t line = report.find('\n');
  if (line == std::string::npos) return refusal("the agent ended while it was being started");
  const std::string text = report.substr(line + 1);
  if (report[0] == kReady) return text;
  return failure(std::atoi(report.c_str() + 1), text);
}

}  // namespace cairn
