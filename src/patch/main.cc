// cairn-plan: writes the patch plans of ELF files into the cache, or prints them.

#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <string>
#include <vector>

#include "patch/plan_cache.h"
#include "patch/planner.h"

namespace {

using namespace cairn;
using namespace cairn::patch;

const char* form(const abi::PlanSite& site) {
  if (site.before >= 5) return "before";
  return site.before == 0 ? "after" : "around";
}

Result<> print_plan(const std::string& path) {
  CAIRN_ASSIGN(const ElfFile file, ElfFile::open(path));
  const Plan plan = make_plan(file);
  std::printf("%s: %zu sites, %zu refused, %u byte pairs, %u outside of known code\n", path.c_str(),
              plan.sites.size(), plan.refused.size(), plan.candidates, plan.outside_of_code);
  for (const auto& site : plan.sites) {
    std::printf("  %10llx  %-6s  -%-2u +%-2u ", static_cast<unsigned long long>(site.syscall_vaddr),
                form(site), site.before, site.after);
    for (unsigned i = 0; i < site.expected_bytes; ++i) {
      const bool edge = i == site.before || i == site.before + 2U;
      std::printf("%s%02x", edge ? " | " : " ", site.expected[i]);
    }
    if (site.branch_bytes != 0)
      std::printf("  -> %llx", static_cast<unsigned long long>(site.branch_target));
    std::printf("\n");
  }
  for (const std::uint64_t site : plan.cpuid_sites)
    std::printf("  %10llx  cpuid\n", static_cast<unsigned long long>(site));
  if (plan.cpuid_unknown != 0)
    std::printf("  %u more that may be cpuid\n", plan.cpuid_unknown);
  for (const auto& refused : plan.refused)
    std::printf("  %10llx  left alone: %s\n",
                static_cast<unsigned long long>(refused.syscall_vaddr), describe(refused.reason));
  return {};
}

Result<> write_plan(const PlanCache& cache, const std::string& path, bool force) {
  if (!force) return cache.ensure(path);
  CAIRN_ASSIGN(const ElfFile file, ElfFile::open(path));
  return cache.store(file, make_plan(file));
}

}  // namespace

int main(int argc, char** argv) {
  std::vector<std::string> files;
  std::string directory;
  bool print = false;
  bool force = false;
  CLI::App app(
      "Makes patch plans: where the system calls of a file are and how each can be reached.");
  app.add_option("FILE", files, "ELF programs and libraries")->required();
  app.add_option("--cache", directory, "The cache directory")->envname("CAIRN_PLAN_CACHE");
  app.add_flag("--print", print, "Print the plans; write nothing");
  app.add_flag("--force", force, "Make plans anew that the cache holds already");
  CLI11_PARSE(app, argc, argv);

  if (directory.empty() && !print) {
    auto found = PlanCache::default_directory();
    if (!found) {
      std::fprintf(stderr, "cairn-plan: %s\n", found.error().message().c_str());
      return 1;
    }
    directory = *found;
  }
  const PlanCache cache(directory);
  int status = 0;
  for (const auto& path : files) {
    const auto result = print ? print_plan(path) : write_plan(cache, path, force);
    if (result) continue;
    std::fprintf(stderr, "cairn-plan: %s\n", result.error().message().c_str());
    status = 1;
  }
  return status;
}
