#pragma once
// Where plans are kept: a directory of the user's own with one file per plan, named as
// abi/patch_plan.h says. Files appear whole or not at all.

#include <string>

#include "base/error.h"
#include "patch/planner.h"

namespace cairn::patch {

class PlanCache {
 public:
  // $CAIRN_PLAN_CACHE, else $XDG_CACHE_HOME/cairn/plans, else ~/.cache/cairn/plans.
  static Result<std::string> default_directory();

  explicit PlanCache(std::string directory) : directory_(std::move(directory)) {}

  [[nodiscard]] const std::string& directory() const { return directory_; }
  [[nodiscard]] std::string path_for(const ElfFile& file) const;
  // There is a plan of today's version for this file.
  [[nodiscard]] bool holds(const ElfFile& file) const;
  Result<> store(const ElfFile& file, const Plan& plan) const;
  // Makes and stores the plan unless the cache holds it.
  Result<> ensure(const std::string& path) const;

 private:
  std::string directory_;
};

}  // namespace cairn::patch
