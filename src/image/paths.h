#pragma once
// All paths of the world's in a record, wherever they stand in it.

#include <functional>
#include <string>

#include "base/error.h"
#include "image/schema/object.pb.h"
#include "image/schema/process.pb.h"

namespace cairn::image {

struct PathChanges {
  std::function<void(std::string& path)> path;
  std::function<Result<>(std::string& raw)> address;  // struct sockaddr_*, of any family
};

Result<> change_paths(ProcessImage& record, const PathChanges& changes);
Result<> change_paths(KernelObject& record, const PathChanges& changes);

}  // namespace cairn::image
