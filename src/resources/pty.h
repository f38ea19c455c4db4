#pragma once
// Pseudo terminals whose master is in the job, or closed: modes, size, lock, packet mode, what was
// typed and not read yet, what was written and not read yet, which ends are closed, and the session
// and foreground group of the job that they control. They come back under their numbers; where one
// is in use here, another is taken, and the door shows the guest its own (abi/pty_numbers.h).
//
// Refused by name: one opened exclusively (TIOCEXCL). Not seen: that what was typed and not read yet
// was ended by the end-of-file key.

#include "resources/registry.h"

namespace cairn::resources {

extern const Kind kPtyKind;

// The N of /dev/pts/N, as the kernel knows it, of a slave, or of /dev/tty that leads to one; else -1.
[[nodiscard]] int slave_number(const OpenFile& file);

// A path as the guest knows it: that of a pseudo terminal with the guest's number.
std::string virtual_pty_path(const CaptureJob& job, const std::string& path);
// An end of the one that the guest knows by this path; null: it is none of the job's.
const image::Pty* pty_named(const std::vector<image::KernelObject>& objects,
                            const std::string& path);
// The path as the kernel knows it; a terminal of the job is made, if it is not there yet.
Result<std::string> real_pty_path(RebuildJob& job, const std::string& path);

}  // namespace cairn::resources
