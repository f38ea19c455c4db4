#include "base/log.h"

#include <fcntl.h>
#include <spdlog/sinks/basic_file_sink.h>
#include <spdlog/spdlog.h>

#include <atomic>
#include <memory>

#include "base/fd.h"

namespace cairn {
namespace {

struct Log {
  std::shared_ptr<spdlog::logger> logger;
  LogIdentity identity;
  std::atomic<std::uint64_t> generation{0};
};

Log& the_log() {
  static Log log;
  return log;
}

spdlog::level::level_enum spdlog_level(LogLevel level) {
  switch (level) {
    case LogLevel::kDebug: return spdlog::level::debug;
    case LogLevel::kInfo: return spdlog::level::info;
    case LogLevel::kWarning: return spdlog::level::warn;
    case LogLevel::kError: return spdlog::level::err;
  }
  return spdlog::level::info;
}

}  // namespace

Result<> make_log(const std::filesystem::path& file) {
  Fd fd(::open(file.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!fd.valid()) return os_failure("open the log", file);
  return {};
}

Result<> open_log(const std::filesystem::path& file, LogIdentity identity) {
  CAIRN_TRY(make_log(file));  // spdlog would create it with the umask's mode, and throw
  try {
    auto sink = std::make_shared<spdlog::sinks::basic_file_sink_mt>(file.string(), false);
    auto logger = std::make_shared<spdlog::logger>("cairn", std::move(sink));
    logger->set_pattern("time=%Y-%m-%dT%H:%M:%S.%e level=%l %v");
    logger->set_level(spdlog::level::debug);
    logger->flush_on(spdlog::level::debug);
    // A full disk must not end the agent, nor make it write to standard error.
    logger->set_error_handler([](const std::string&) {});
    the_log().logger = std::move(logger);
  } catch (const spdlog::spdlog_ex&) {
    return failure(EIO, "open the log", file);
  }
  the_log().identity = std::move(identity);
  return {};
}

void set_log_generation(std::uint64_t generation) { the_log().generation = generation; }

void log_event(LogLevel level, std::string_view message, std::string_view fields) {
  Log& log = the_log();
  if (log.logger == nullptr) return;
  std::string text = fmt::format("job={} node={} pid={}", log.identity.job, log.identity.node,
                                 static_cast<int>(::getpid()));
  if (const std::uint64_t generation = log.generation; generation != 0)
    text += fmt::format(" generation={}", generation);
  text += " msg=" + log_value(message);
  if (!fields.empty()) text.append(" ").append(fields);
  log.logger->log(spdlog_level(level), "{}", text);
}

std::string log_value(std::string_view text) {
  const bool plain = !text.empty() && text.find_first_of(" \"=\\\n\t") == std::string_view::npos;
  if (plain) return std::string(text);
  std::string quoted = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') quoted += '\\';
    if (c == '\n') {
      quoted += "\\n";
    } else {
      quoted += c;
    }
  }
  return quoted + "\"";
}

}  // namespace cairn
