#pragma once
// The kinds of open files, in one ordered table.
//
// Capture: the first kind that matches an open file describes it. Rebuild happens in two steps:
// `create` makes the open file in the agent (it then is put under its numbers in the process), and
// `connect` does, with everything in place, what refers to numbers, threads or other open files.
//
// Who rebuilds what: the agent cannot make what belongs to a process or a descriptor number. epoll
// keys its entries by the adder's number, a watched signalfd belongs to the adder, a POSIX lock to
// the process: those are made inside, by system calls that the process runs for us.

#include <span>
#include <string_view>

#include "resources/context.h"

namespace cairn::resources {

enum class Maker {
  kAgent,           // the open file and all its state
  kAgentThenInside  // the open file by the agent, what refers to numbers or the process inside
};

struct Kind {
  std::string_view name;
  image::KernelObject::KindCase record;
  Maker maker;
  bool (*matches)(const OpenFile& file);
  Result<> (*capture)(CaptureContext& context, OpenFile& file, image::KernelObject& object);
  Result<Fd> (*create)(RebuildContext& context, const image::KernelObject& object);
  Result<> (*connect)(RebuildContext& context, const image::KernelObject& object);  // may be null
};

std::span<const Kind> kinds();
const Kind* kind_of(const OpenFile& file);
const Kind* kind_of(const image::KernelObject& object);

}  // namespace cairn::resources
