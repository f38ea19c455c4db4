#pragma once
// Files and directories of a store: private to the user whatever the umask, written in full or not
// at all, on the device when a function says so. Each step is a fault point.

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/fault.h"
#include "base/fd.h"

namespace cairn::storage {

// A new file of mode 0600; fails if the name is taken. `flags` is or-ed in.
Result<Fd> create_file(const std::string& path, int flags = 0);
Result<Fd> open_file(const std::string& path, int flags = 0);  // for reading

// Some file systems take O_DIRECT at the open and fail the transfer with EINVAL: overlayfs before 6.6
// above tmpfs, FUSE, NFS. True: the flag was set and is not any more, so that another try may succeed.
bool drop_direct(int fd);
Result<> write_at(int fd, std::span<const std::byte> bytes, std::uint64_t offset,
                  const std::string& path, FaultPoint fault);
// Fails if the file ends before `bytes` is full.
Result<> read_at(int fd, std::span<std::byte> bytes, std::uint64_t offset, const std::string& path);

Result<> sync_file(int fd, const std::string& path, FaultPoint fault);
Result<> sync_directory(const std::string& path, FaultPoint fault);

// A whole small file, created and written, and synced unless the fault point of that is kNone.
Result<> write_new_file(const std::string& path, std::string_view text, FaultPoint write_fault,
                        FaultPoint sync_fault);
Result<std::string> read_whole_file(const std::string& path);
Result<std::uint64_t> file_size(int fd, const std::string& path);

Result<> make_directory(const std::string& path);  // mode 0700; fails if the name is taken
Result<> make_path(const std::string& path);       // and its parents, where they are missing
Result<> rename_file(const std::string& from, const std::string& to, FaultPoint fault);
Result<> remove_file(const std::string& path, FaultPoint fault = FaultPoint::kNone);
Result<> remove_directory_with_files(const std::string& path);

// Names without "." and "..", sorted.
Result<std::vector<std::string>> list_directory(const std::string& path);

// A number in decimal without leading zeros, greater than 0; 0 if `text` is anything else.
std::uint64_t parse_number(std::string_view text);

}  // namespace cairn::storage
