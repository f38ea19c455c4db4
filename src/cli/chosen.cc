#include "cli/chosen.h"

#include "cli/locate.h"

namespace cairn::cli {

OrRefused<Chosen> list_chosen(const std::string& word, const std::string& dir) {
  const auto where = find_store(word, dir);
  if (!where) return stop(ExitCode::kRefused, where.error());
  const auto store = storage::Store::open(where->directory, {});
  if (!store) return stop(ExitCode::kRefused, store.error());
  auto generations = (*store)->generations();
  if (!generations) return stop(ExitCode::kDamaged, generations.error());
  if (where->generation)
    std::erase_if(*generations, [&](const auto& g) { return g.number != *where->generation; });
  if (where->generation && generations->empty())
    return stop(ExitCode::kDamaged,
                Error{0, "there is no generation " + std::to_string(*where->generation) + " in",
                      where->directory});
  return Chosen{where->directory, std::move(*generations)};
}

OrRefused<Chosen> choose(const std::string& word, const std::string& dir) {
  auto chosen = list_chosen(word, dir);
  if (chosen && chosen->generations.empty())
    return stop(ExitCode::kDamaged, Error{0, "there is no generation in", chosen->directory});
  return chosen;
}

OrRefused<restart::Plan> read_chosen(const std::string& word, const std::string& dir) {
  auto chosen = choose(word, dir);
  if (!chosen) return tl::unexpected(chosen.error());
  const storage::GenerationInfo& newest = chosen->generations.back();
  if (newest.damaged)
    return stop(ExitCode::kDamaged, Error{0,
                                          "generation " + std::to_string(newest.number) +
                                              " is damaged (" + newest.problem + ")",
                                          {}});
  auto plan = restart::read(chosen->directory, newest.number);
  if (!plan) return stop(ExitCode::kDamaged, plan.error());
  return std::move(*plan);
}

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

}  // namespace cairn::cli
