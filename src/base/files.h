#pragma once
// Small files and private directories.

#include <sys/types.h>

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

#include "base/deadline.h"
#include "base/error.h"
#include "base/fd.h"

namespace cairn {

// Creates the directory (not its parents) with mode 0700 whatever the umask. One that is there
// already must be a directory, not a link, owned by us and closed to others.
[[nodiscard]] Result<> make_private_directory(const std::filesystem::path& path);

// Creates a file with mode 0600 whatever the umask; fails if it exists.
[[nodiscard]] Result<Fd> create_private_file(const std::filesystem::path& path, int flags);

[[nodiscard]] Result<std::string> read_text_file(const std::filesystem::path& path);

[[nodiscard]] Result<> write_all(int fd, std::string_view bytes);

// The directory that this very program was started from.
[[nodiscard]] Result<std::filesystem::path> program_directory();

// `name` as installed beside this program, or in ../libexec/cairn.
[[nodiscard]] Result<std::filesystem::path> companion_program(const std::string& name);

// Of /proc/PID/stat. No state: there is no such process.
struct ProcessStat {
  char state = 0;                // 'Z': it has ended, and nobody has waited for it
  std::uint64_t start_time = 0;  // field 22
};
[[nodiscard]] ProcessStat process_stat(pid_t pid);

// Field 22 of /proc/PID/stat; tells one user of a pid from the next. 0: there is no such process.
[[nodiscard]] std::uint64_t process_start_time(pid_t pid);

// Has the whole process ended (waited for or not), before the deadline? `start_time` tells it from a
// later process with the same pid; 0: not known.
[[nodiscard]] bool wait_for_process_end(pid_t pid, std::uint64_t start_time,
                                        const Deadline& deadline);
// The same question for this moment.
[[nodiscard]] bool process_lives(pid_t pid, std::uint64_t start_time);

// The letter in a status file of /proc, of a process or a thread; 0: there is none.
[[nodiscard]] char state_in_status(std::string_view status);

}  // namespace cairn
