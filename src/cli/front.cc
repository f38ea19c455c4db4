#include <unistd.h>

#include <string_view>

#include "base/daemon.h"
#include "base/files.h"
#include "cli/command_line.h"
#include "cli/output.h"
#include "cli/verbs.h"

namespace {

using namespace cairn;
using namespace cairn::cli;

ExitCode become_engine(char** argv) {
  const auto engine = companion_program("cairn-engine");
  if (!engine) return fail(false, ExitCode::kInternal, engine.error());
  ::execv(engine->c_str(), argv);
  return fail(false, ExitCode::kInternal, os_failure("start", *engine).value());
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2 || std::string_view(argv[1]) != "run") return static_cast<int>(become_engine(argv));
  remember_arguments(argc, argv);
  const auto command = parse_command_line(argc, argv);
  if (!command) return command.error();
  return static_cast<int>(run(command->run));
}
