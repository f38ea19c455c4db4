#pragma once
// A kernel object is made in one process, captured, rebuilt in another one, and used there.
//
// The image goes through its encoding, and the contents through memory kept here instead of a store.

#include <gtest/gtest.h>

#include <array>
#include <cstring>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "image/image.h"
#include "resources/capture.h"
#include "resources/clocks.h"
#include "resources/context.h"
#include "resources/memory_maps.h"
#include "resources/open_files.h"
#include "resources/rebuild.h"
#include "support/fake_runtime.h"

namespace cairn::testing {

using resources::CaptureContext;
using resources::CaptureJob;
using resources::ContentPlan;
using resources::JobCapture;

class KeptPages : public storage::MemoryReader {
 public:
  std::map<std::uint64_t, std::vector<std::byte>> pages_;
  Result<> for_each_batch(const BatchSink& sink) override {
    std::vector<storage::PageSpan> spans;
    for (const auto& [address, bytes] : pages_) spans.push_back({address, bytes, false});
    return sink(spans);
  }
  Result<std::vector<storage::PageRun>> pages() override {
    std::vector<storage::PageRun> runs;
    for (const auto& [address, bytes] : pages_) runs.push_back({address, 1, false});
    return runs;
  }
};

// What a checkpoint wrote: records, and pages by the number that a reference names.
struct Saved {
  image::ProcessImage process;
  std::vector<image::KernelObject> objects;
  std::map<std::string, KeptPages> contents;

  resources::OpenContent open() {
    return [this](const std::string& ref) -> Result<std::unique_ptr<storage::MemoryReader>> {
      const auto found = contents.find(ref);
      if (found == contents.end()) return refusal("no such content");
      return std::make_unique<KeptPages>(found->second);
    };
  }
};

inline Result<Saved> save(JobCapture& capture) {
  Saved saved;
  std::uint64_t number = 0;
  for (const auto& content : capture.contents) {
    storage::PageDataRef ref;
    ref.generation = 1;
    ref.tree_node = ++number;
    auto& kept = saved.contents[ref.encode()];
    for (const auto& run : content.runs)
      for (std::uint32_t i = 0; i < run.pages; ++i) {
        const std::uint64_t at = run.address + i * storage::kPageBytes;
        auto& page = kept.pages_[at];
        page.resize(storage::kPageBytes);
        CAIRN_TRY(resources::read_content(content, at, page));
      }
    resources::set_content(capture, content, ref);
  }
  saved.process = capture.processes.front();
  for (const auto& object : capture.objects) {
    CAIRN_ASSIGN(const auto bytes, image::encode(object));
    CAIRN_ASSIGN(auto decoded, image::decode_object(bytes, "object"));
    saved.objects.push_back(std::move(decoded));
  }
  return saved;
}

// Open files alone: what most kinds need. The standard streams are left out.
inline Result<Saved> save_files(resources::RemoteProcess& process,
                                resources::CaptureOptions options = {}) {
  JobCapture capture;
  capture.processes.resize(1);
  CaptureJob job{.options = options, .result = capture, .moment = resources::read_clocks()};
  CAIRN_ASSIGN(auto* context, resources::add_member(job, process));
  const auto& runtime = *context->runtime;
  context->image.set_pid(runtime.virtual_pid);
  context->image.mutable_runtime()->set_state(
      std::string(reinterpret_cast<const char*>(&runtime), sizeof runtime));
  CAIRN_TRY(resources::capture_clocks(*context));
  CAIRN_TRY(resources::capture_open_files(job));
  return save(capture);
}

// Makes, captures, rebuilds and uses; gives back the exit code of `use`, or -1 with a failed test.
// `between` happens after the commit, as the world that goes on.
struct RoundTrip {
  std::function<void()> make;
  std::function<int()> use;
  std::function<void()> between = {};
  std::function<void(const Saved&)> look = {};
  resources::CaptureOptions options = {};
  std::string undo = {};
  std::array<int, 3> stdio = {0, 1, 2};

  int run() {
    Saved saved;
    {
      FakeProcess old(make, nullptr);
      auto result = save_files(old.remote(), options);
      if (!result) {
        ADD_FAILURE() << "capture: " << result.error().message();
        return -1;
      }
      saved = std::move(*result);
    }
    if (between) between();
    if (look) look(saved);
    FakeProcess fresh(nullptr, use, {.purpose = abi::LinkPurpose::kRestore});
    auto rebuilt = rebuild(fresh.remote(), saved);
    if (!rebuilt) {
      ADD_FAILURE() << "rebuild: " << rebuilt.error().message();
      return -1;
    }
    if (const auto gone = fresh.remote().go(); !gone) {
      ADD_FAILURE() << gone.error().message();
      return -1;
    }
    return fresh.wait();
  }

  Result<> rebuild(resources::RemoteProcess& process, Saved& saved) {
    const std::array processes{resources::JobRebuild::Process{process, saved.process}};
    resources::JobRebuild build(
        processes, saved.objects,
        {.open_content = saved.open(), .stdio = stdio, .undo_directory = undo});
    CAIRN_TRY(build.create_objects());
    CAIRN_TRY(build.connect_objects());
    CAIRN_TRY(build.rewind_files());
    return build.start_clocks();
  }
};

// The reason why a capture is refused.
inline std::string refusal_of(const std::function<void()>& make,
                              resources::CaptureOptions options = {}) {
  FakeProcess process(make, nullptr);
  const auto saved = save_files(process.remote(), options);
  return saved ? std::string("it was not refused") : saved.error().message();
}

}  // namespace cairn::testing
