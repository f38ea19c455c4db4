// ls, inspect and verify

#include "cli/locate.h"
#include "cli/output.h"
#include "cli/verbs.h"
#include "image/image.h"
#include "restart/restart.h"
#include "storage/store.h"

#include <fmt/format.h>

namespace cairn::cli {
namespace {

Json to_json(const storage::GenerationInfo& generation) {
  if (generation.damaged)
    return {{"generation", generation.number}, {"damaged", true}, {"problem", generation.problem}};
  return {{"generation", generation.number},
          {"job", generation.job_id},
          {"incarnation", generation.incarnation},
          {"committed_ns", generation.committed_ns},
          {"memory_bytes", generation.memory_bytes()},
          {"new_bytes", generation.new_bytes()},
          {"stored_bytes", generation.stored_bytes()},
          {"info", Json::parse(generation.info, nullptr, false)}};
}

Result<std::vector<storage::GenerationInfo>> list(const StorePath& where) {
  CAIRN_ASSIGN(const auto store, storage::Store::open(where.directory, {}));
  CAIRN_ASSIGN(auto generations, store->generations());
  if (where.generation)
    std::erase_if(generations, [&](const auto& g) { return g.number != *where.generation; });
  if (where.generation && generations.empty())
    return refusal("there is no generation " + std::to_string(*where.generation) + " in",
                   where.directory);
  return generations;
}

struct Chosen {
  std::string directory;
  std::vector<storage::GenerationInfo> generations;  // at least one
};

// What inspect and verify look at; a failure carries the exit code that it means.
tl::expected<Chosen, std::pair<ExitCode, Error>> choose(const GenerationOptions& options) {
  const auto failed = [](ExitCode code, const Error& error) {
    return tl::unexpected(std::pair(code, error));
  };
  const auto where = find_store(options.generation, options.common.dir);
  if (!where) return failed(ExitCode::kRefused, where.error());
  auto generations = list(*where);
  if (!generations) return failed(ExitCode::kDamaged, generations.error());
  if (generations->empty())
    return failed(ExitCode::kDamaged, Error{0, "there is no generation in", where->directory});
  return Chosen{where->directory, std::move(*generations)};
}

// Records as JSON: the generation, its processes, its objects.
Result<Json> describe(const std::string& directory, const storage::GenerationInfo& generation) {
  CAIRN_ASSIGN(const restart::Plan plan, restart::read(directory, generation.number));
  Json result = to_json(generation);
  const auto append = [&result](const char* key, const google::protobuf::Message& record) -> Result<> {
    CAIRN_ASSIGN(const std::string text, image::to_json(record, false));
    result[key].push_back(Json::parse(text, nullptr, false));
    return {};
  };
  result["processes"] = Json::array();
  result["objects"] = Json::array();
  for (const auto& process : plan.records.processes) CAIRN_TRY(append("processes", process));
  for (const auto& object : plan.records.objects) CAIRN_TRY(append("objects", object));
  return result;
}

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
  const auto where = find_store(options.generation, options.common.dir);
  if (!where) return fail(json, ExitCode::kRefused, where.error());
  const auto generations = list(*where);
  if (!generations) return fail(json, ExitCode::kDamaged, generations.error());
  if (json) {
    Json all = Json::array();
    for (const auto& generation : *generations) all.push_back(to_json(generation));
    print_json(all);
    return ExitCode::kOk;
  }
  std::vector<std::vector<std::string>> rows{
      {"GENERATION", "COMMITTED", "MEMORY", "NEW", "STORED", "JOB"}};
  for (const auto& generation : *generations) {
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

ExitCode inspect(const GenerationOptions& options) {
  const bool json = options.common.json;
  const auto chosen = choose(options);
  if (!chosen) return fail(json, chosen.error().first, chosen.error().second);
  const auto& [directory, generations] = *chosen;
  const auto described = describe(directory, generations.back());
  if (!described) return fail(json, ExitCode::kDamaged, described.error());
  print_json(*described);
  return ExitCode::kOk;
}

ExitCode verify(const GenerationOptions& options) {
  const bool json = options.common.json;
  const auto chosen = choose(options);
  if (!chosen) return fail(json, chosen.error().first, chosen.error().second);
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
