// doctor: will Cairn work here, and with this program?

#include "cli/doctor.h"

#include <algorithm>

#include "cli/locate.h"
#include "cli/output.h"
#include "cli/verbs.h"

namespace cairn::cli {
namespace {

const char* word_of(Finding finding) {
  switch (finding) {
    case Finding::kGood:
      return "good";
    case Finding::kLess:
      return "less";
    case Finding::kFails:
      return "fails";
  }
  return "";
}

}  // namespace

std::vector<Check> examine(const std::string& dir, const std::vector<std::string>& command) {
  std::vector<Check> all = check_kernel();
  const auto add = [&all](const std::vector<Check>& more) {
    all.insert(all.end(), more.begin(), more.end());
  };
  add(check_processor());
  add(check_installation());
  add(check_limits());
  add(check_directory(absolute(dir.empty() ? "." : dir)));
  if (!command.empty()) add(check_program(command));
  return all;
}

Json to_json(const std::vector<Check>& checks) {
  Json list = Json::array();
  for (const Check& check : checks)
    list.push_back({{"name", check.name},
                    {"finding", word_of(check.finding)},
                    {"detail", check.detail},
                    {"advice", check.advice}});
  return {{"ok", !any_fails(checks)}, {"checks", list}};
}

bool any_fails(const std::vector<Check>& checks) {
  return std::any_of(checks.begin(), checks.end(),
                     [](const Check& check) { return check.finding == Finding::kFails; });
}

ExitCode doctor(const DoctorOptions& options) {
  const std::vector<Check> checks = examine(options.common.dir, options.command);
  if (options.common.json) {
    print_json(to_json(checks));
  } else {
    std::vector<std::vector<std::string>> rows;
    for (const Check& check : checks)
      rows.push_back({word_of(check.finding), check.name,
                      check.detail + (check.advice.empty() ? "" : "; " + check.advice)});
    print_table(rows);
  }
  return any_fails(checks) ? ExitCode::kRefused : ExitCode::kOk;
}

}  // namespace cairn::cli
