// prune: old generations are removed, by the agent of the running job or, without one, here.

#include <fmt/format.h>

#include "agent/requests.h"
#include "cli/chosen.h"
#include "cli/locate.h"
#include "cli/output.h"
#include "cli/verbs.h"

namespace cairn::cli {
namespace {

// A checkpoint under way comes first, and packs are written anew.
constexpr std::chrono::milliseconds kAgentTimeout{3'600'000};

using Pruned = OrRefused<Json>;

// The agent knows which pages are where: nobody may remove them behind its back.
Pruned ask_agent(const std::string& address, unsigned keep) {
  auto socket = connect_unix(address);
  if (!socket) return stop(ExitCode::kRefused, socket.error());
  JsonLines agent(std::move(*socket));
  if (const auto sent = agent.send(agent::prune_request(keep)); !sent)
    return stop(ExitCode::kFailed, sent.error());
  auto answer = agent.receive(Deadline(kAgentTimeout));
  if (!answer) return stop(ExitCode::kFailed, answer.error());
  if (!answer->value("ok", false)) return stop(ExitCode::kFailed, agent::error_of(*answer));
  return std::move(*answer);
}

// As the store's owner for that time, so that no restart begins meanwhile.
Pruned prune_here(storage::Store& store, const std::string& job_id, unsigned keep) {
  storage::OwnerRecord wanted;
  wanted.job_id = job_id;
  wanted.fill_in_self();
  const auto owned = store.take_ownership(wanted, storage::Takeover::kIfNotAlive);
  if (!owned)
    return stop(owned.error().code == storage::kOwned ? ExitCode::kRefused : ExitCode::kFailed,
                owned.error());
  const auto report = store.retain(keep);
  if (!report) return stop(ExitCode::kFailed, report.error());
  return agent::prune_answer(*report);
}

Pruned prune_store(const StorePath& where, unsigned keep) {
  const auto store = storage::Store::open(where.directory, {});
  if (!store) return stop(ExitCode::kRefused, store.error());
  const auto owner = (*store)->owner();
  if (!owner) return stop(ExitCode::kDamaged, owner.error());
  if (*owner && job_runs(**owner)) return ask_agent((*owner)->coordinator_address, keep);
  if (*owner && storage::owner_life(**owner) == storage::OwnerLife::kUnknown)
    return stop(ExitCode::kRefused,
                Error{0, "the job may be running on " + (*owner)->host + ": prune there", {}});
  const auto generations = (*store)->generations();
  if (!generations) return stop(ExitCode::kDamaged, generations.error());
  if (generations->empty())
    return stop(ExitCode::kDamaged, Error{0, "there is no generation in", where.directory});
  return prune_here(**store, *owner ? (*owner)->job_id : generations->back().job_id, keep);
}

}  // namespace

ExitCode prune(const PruneOptions& options) {
  const bool json = options.common.json;
  if (options.keep == 0)
    return fail(json, ExitCode::kUsage,
                Error{0, "prune: how many generations are to stay? (--keep N, at least 1)", {}});
  const auto where = find_store(options.directory, options.common.dir);
  if (!where) return fail(json, ExitCode::kRefused, where.error());
  if (where->generation)
    return fail(json, ExitCode::kUsage,
                Error{0, "prune takes a job's directory, not one generation of it", {}});
  const auto pruned = prune_store(*where, options.keep);
  if (!pruned) return fail(json, pruned.error().code, pruned.error().error);
  if (json) {
    print_json(*pruned);
  } else {
    print_line(fmt::format("{} generations removed, {} freed", pruned->at("removed").size(),
                           format_bytes(pruned->at("bytes_freed"))));
  }
  return ExitCode::kOk;
}

}  // namespace cairn::cli
