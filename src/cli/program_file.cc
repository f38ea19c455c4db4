#include "cli/program_file.h"

#include <elf.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <cstring>
#include <string_view>

#include "base/fd.h"

namespace cairn::cli {
namespace {

using Failed = tl::unexpected<ProgramFailure>;

Failed not_executable(std::string reason, const std::string& path, int code = 0) {
  return Failed(ProgramFailure{ExitCode::kNotExecutable,
                               Error{code, "cannot run " + path + ": " + std::move(reason), {}}});
}

Failed system_failure(int code, const std::string& path) {
  const bool missing = code == ENOENT || code == ENOTDIR;
  return Failed(ProgramFailure{missing ? ExitCode::kNotFound : ExitCode::kNotExecutable,
                               Error{code, "cannot run", path}});
}

bool runnable(const std::string& path) {
  struct stat st{};
  if (::stat(path.c_str(), &st) != 0) return false;
  if (S_ISDIR(st.st_mode)) {
    errno = EACCES;
    return false;
  }
  return ::faccessat(AT_FDCWD, path.c_str(), X_OK, AT_EACCESS) == 0;
}

tl::expected<std::string, ProgramFailure> find(const std::string& name) {
  if (name.find('/') != std::string::npos) {
    if (runnable(name)) return name;
    return system_failure(errno, name);
  }
  const char* variable = std::getenv("PATH");
  std::string_view rest = variable != nullptr ? variable : "/bin:/usr/bin";
  int worst = ENOENT;
  for (bool more = !name.empty(); more;) {
    const std::size_t colon = rest.find(':');
    const std::string_view directory = rest.substr(0, colon);
    more = colon != std::string_view::npos;
    if (more) rest.remove_prefix(colon + 1);
    // An empty entry is the working directory.
    const std::string path = directory.empty() ? name : std::string(directory) + "/" + name;
    if (runnable(path)) return path;
    if (errno == EACCES) worst = EACCES;
  }
  return system_failure(worst, name);
}

enum class Format { kElf64, kScript, kText };

tl::expected<Format, ProgramFailure> read_format(const std::string& path) {
  const Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd.valid()) return not_executable("it cannot be read", path, errno);
  Elf64_Ehdr header{};
  const ssize_t n = ::pread(fd.get(), &header, sizeof header, 0);
  if (n < 0) return not_executable("it cannot be read", path, errno);
  const std::string_view start(reinterpret_cast<const char*>(&header),
                               static_cast<std::size_t>(n));
  if (start.starts_with("#!")) return Format::kScript;
  if (!start.starts_with(ELFMAG)) {
    // execvp's rule is "not a known format"; a binary of a foreign format is none for a shell.
    if (start.find('\0') != std::string_view::npos)
      return not_executable("unknown format", path, ENOEXEC);
    return Format::kText;
  }
  if (header.e_ident[EI_CLASS] == ELFCLASS32)
    return not_executable("a 32-bit program; only x86-64 is supported", path);
  if (static_cast<std::size_t>(n) < sizeof header || header.e_machine != EM_X86_64)
    return not_executable("not an x86-64 program", path);
  if (header.e_type != ET_EXEC && header.e_type != ET_DYN)
    return not_executable("an ELF file, but not a program", path);
  return Format::kElf64;
}

// Would exec change the user, the group or the capabilities?
bool raises_privilege(const std::string& path) {
  if (::geteuid() == 0) return false;
  struct statvfs fs{};
  if (::statvfs(path.c_str(), &fs) == 0 && (fs.f_flag & ST_NOSUID) != 0) return false;
  struct stat st{};
  if (::stat(path.c_str(), &st) != 0) return false;
  const bool set_user = (st.st_mode & S_ISUID) != 0 && st.st_uid != ::geteuid();
  const bool set_group = (st.st_mode & (S_ISGID | S_IXGRP)) == (S_ISGID | S_IXGRP) &&
                         st.st_gid != ::getegid();
  return set_user || set_group || ::getxattr(path.c_str(), "security.capability", nullptr, 0) > 0;
}

}  // namespace

tl::expected<Program, ProgramFailure> resolve_program(const std::vector<std::string>& command) {
  auto path = find(command.front());
  if (!path) return Failed(path.error());
  const auto format = read_format(*path);
  if (!format) return Failed(format.error());
  if (*format == Format::kText) {
    std::vector<std::string> arguments{"/bin/sh", *path};
    arguments.insert(arguments.end(), command.begin() + 1, command.end());
    return Program{"/bin/sh", std::move(arguments)};
  }
  // The kernel ignores these bits on scripts.
  if (*format == Format::kElf64 && raises_privilege(*path))
    return not_executable("it is set-uid, set-gid or has capabilities; such programs cannot be "
                          "saved and must be run without Cairn", *path);
  return Program{std::move(*path), command};
}

}  // namespace cairn::cli
