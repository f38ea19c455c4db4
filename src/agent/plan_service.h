#pragma once
// Answers plan requests of the job's processes (abi/segment.h) by running the plan program, which
// leaves its result in the cache. A request is answered whatever came of it: a process that finds no
// plan afterwards goes on without.

#include <filesystem>
#include <thread>

#include "abi/segment.h"

namespace cairn::agent {

class PlanService {
 public:
  PlanService(abi::JobSegment& segment, std::filesystem::path program)
      : segment_(segment), program_(std::move(program)), thread_([this](std::stop_token stop) {
          serve(stop);
        }) {}
  ~PlanService();
  PlanService(const PlanService&) = delete;
  PlanService& operator=(const PlanService&) = delete;

 private:
  void serve(const std::stop_token& stop);
  void answer(abi::PlanRequest& request) const;

  abi::JobSegment& segment_;
  const std::filesystem::path program_;
  std::jthread thread_;
};

}  // namespace cairn::agent
