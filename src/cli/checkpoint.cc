#include <fmt/format.h>

#include "agent/requests.h"
#include "base/duration.h"
#include "cli/locate.h"
#include "cli/output.h"
#include "cli/verbs.h"

namespace cairn::cli {
namespace {

// Beyond the request's own timeout: the agent may have a checkpoint to finish first, and must abort.
constexpr std::chrono::milliseconds kMargin{120'000};

void print_result(const Json& answer) {
  const Json& ms = answer.at("ms");
  print_line(fmt::format(
      "generation {}: {} of memory, {} stored, frozen for {:.2f} s", answer.at("generation").get<std::uint64_t>(),
      format_bytes(answer.at("memory_bytes")), format_bytes(answer.at("stored_bytes")),
      ms.at("frozen").get<double>() / 1000));
}

Result<Json> converse(JsonLines& agent, const agent::CheckpointRequest& request) {
  CAIRN_TRY(agent.send(agent::to_json(request)));
  const Deadline deadline(request.timeout + kMargin);
  ProgressBar bar;
  for (;;) {
    CAIRN_ASSIGN(Json message, agent.receive(deadline));
    if (message.value("event", "") == "result") return message;
    bar.show(message.value("phase", ""), message.value("done", std::uint64_t{0}),
             message.value("total", std::uint64_t{0}));
  }
}

}  // namespace

ExitCode checkpoint(const CheckpointOptions& options) {
  const bool json = options.common.json;
  agent::CheckpointRequest request;
  request.kill = options.kill;
  if (!options.timeout.empty()) {
    const auto timeout = parse_duration(options.timeout);
    if (!timeout) return fail(json, ExitCode::kUsage, timeout.error());
    request.timeout = *timeout;
  }
  const auto job = find_job(options.job, options.common.dir);
  if (!job) return fail(json, ExitCode::kRefused, job.error());
  auto socket = connect_unix(job->socket());
  if (!socket) return fail(json, ExitCode::kRefused, socket.error());
  JsonLines agent(std::move(*socket));
  const auto answer = converse(agent, request);
  if (!answer) {
    const bool late = answer.error().code == ETIMEDOUT;
    return fail(json, late ? ExitCode::kTimeout : ExitCode::kFailed,
                Error{answer.error().code, "the agent gave no answer", {}});
  }
  if (!answer->value("ok", false)) {
    const bool late = answer->value("code", 0) == ETIMEDOUT;
    Error error = agent::error_of(*answer);
    error.tried = std::string("checkpoint failed") +
                  (answer->value("job_goes_on", false) ? ", the job goes on: " : ": ") +
                  error.tried;
    return fail(json, late ? ExitCode::kTimeout : ExitCode::kFailed, error);
  }
  if (json) {
    print_json(*answer);
  } else {
    print_result(*answer);
  }
  return ExitCode::kOk;
}

}  // namespace cairn::cli
