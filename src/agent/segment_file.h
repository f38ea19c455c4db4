#pragma once
// The job segment as the agent sees it: a file in the run directory, mapped.

#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "abi/segment.h"
#include "base/error.h"

namespace cairn::agent {

struct SegmentSettings {
  std::string socket;
  std::string job_name;
  std::string runtime_path;
  std::string plan_cache;
  abi::DoorMode mode = abi::DoorMode::kAuto;
};

class SegmentFile {
 public:
  [[nodiscard]] static Result<SegmentFile> create(const std::filesystem::path& path,
                                                  const SegmentSettings& settings);
  [[nodiscard]] static Result<SegmentFile> open(const std::filesystem::path& path);
  SegmentFile(SegmentFile&& other) noexcept : segment_(std::exchange(other.segment_, nullptr)) {}
  SegmentFile& operator=(SegmentFile&&) = delete;
  ~SegmentFile();

  [[nodiscard]] abi::JobSegment& operator*() const { return *segment_; }
  [[nodiscard]] abi::JobSegment* operator->() const { return segment_; }

  // The slots that were ever used.
  [[nodiscard]] std::vector<abi::ProcessSlot*> slots() const;

 private:
  [[nodiscard]] static Result<SegmentFile> map(int fd, const std::filesystem::path& path);
  explicit SegmentFile(abi::JobSegment* segment) : segment_(segment) {}
  abi::JobSegment* segment_;
};

}  // namespace cairn::agent
