#pragma once
// The descriptors of the job's processes: taken, told apart by open file, captured and put back.

#include <fcntl.h>
#include <sys/syscall.h>

#include "resources/context.h"

namespace cairn::resources {

Result<> capture_open_files(CaptureJob& job);
Result<> create_open_files(RebuildJob& job);
Result<> connect_open_files(RebuildJob& job);

// /dev/null, which holds the numbers of a file that only a thread can lead to, until the threads are made;
// and the file itself, in its place.
[[nodiscard]] Result<Fd> open_nothing();
[[nodiscard]] Result<> put_in_place(RebuildContext& context, const image::KernelObject& object, Fd fd);

// A number that is not in use in the process now.
Result<int> free_number(RebuildContext& context);

// Calls `use` with a number of the process that leads to our `fd`, for that time only.
template <class Use>
Result<> lend(RebuildContext& context, int fd, Use use) {
  CAIRN_ASSIGN(const int number, free_number(context));
  const RemoteProcess::Placement placement{fd, number, FD_CLOEXEC};
  CAIRN_TRY(context.process.place_fds(std::span(&placement, 1)));
  CAIRN_TRY(use(number));
  CAIRN_TRY(context.process.syscall(SYS_close, number));
  return {};
}

}  // namespace cairn::resources
