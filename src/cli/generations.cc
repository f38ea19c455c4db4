// ls and verify

#include "cli/chosen.h"
#include "cli/output.h"
#include "cli/verbs.h"
#include "restart/restart.h"

#include <fmt/format.h>

namespace cairn::cli {
namespace {

Result<Json> verify_one(const std::string& directory, std::uint64_t number, bool direct) {
  CAIRN_ASSIGN(const auto reader,
               storage::open_generation(directory + "/" + std::to_string(number),
                                        storage::VerifyLevel::kStructure));
  CAIRN_TRY(restart::decode_records(*reader));
  CAIRN_ASSIGN(const auto report, reader->verify(storage::VerifyLevel::kPages, direct));
  return Json{{"generation", number},
              {"ok", true},
              {"files", report.files},
              {"bytes", report.bytes},
              {"chunks", report.chunks},
              {"pages", report.pages}};
}

}  // namespace

ExitCode ls(const GenerationOptions& options) {
  const bool json = options.common.json;
  const auto chosen = list_chosen(options.generation, options.common.dir);
  if (!chosen) return fail(json, chosen.error().code, chosen.error().error);
  if (json) {
    Json all = Json::array();
    for (const auto& generation : chosen->generations) all.push_back(to_json(generation));
    print_json(all);
    return ExitCode::kOk;
  }
  std::vector<std::vector<std::string>> rows{
      {"GENERATION", "COMMITTED", "MEMORY", "NEW", "STORED", "JOB"}};
  for (const auto& generation : chosen->generations) {
    if (generation.damaged) {
      rows.push_back({std::to_string(generation.number), "damaged: " + generation.problem});
      continue;
    }
    rows.push_back({std::to_string(generation.number), format_time(generation.committed_ns),
                    format_bytes(generation.memory_bytes()), format_bytes(generation.new_bytes()),
                    format_bytes(generation.stored_bytes()), generation.job_id.substr(0, 8)});
  }
  print_table(rows);
  return ExitCode::kOk;
}

ExitCode verify(const GenerationOptions& options) {
  const bool json = options.common.json;
  const auto chosen = choose(options.generation, options.common.dir);
  if (!chosen) return fail(json, chosen.error().code, chosen.error().error);
  const auto& [directory, generations] = *chosen;
  Json all = Json::array();
  ExitCode code = ExitCode::kOk;
  for (const auto& generation : generations) {
    const auto verified = verify_one(directory, generation.number, options.direct);
    const std::string name = "generation " + std::to_string(generation.number);
    if (verified) {
      all.push_back(*verified);
      if (!json)
        print_line(fmt::format("{}: whole, {} read", name, format_bytes(verified->at("bytes"))));
      continue;
    }
    const std::string problem = verified.error().message();
    all.push_back({{"generation", generation.number}, {"ok", false}, {"error", problem}});
    code = fail(false, ExitCode::kDamaged, Error{0, name + " is damaged: " + problem, {}});
  }
  if (json) print_json(all);
  return code;
}

}  // namespace cairn::cli
