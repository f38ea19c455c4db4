// support: what a help desk needs, in one file, without anything that the program knew

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <ctime>
#include <filesystem>
#include <fstream>

#include "agent/job_registry.h"
#include "base/child.h"
#include "cli/chosen.h"
#include "cli/doctor.h"
#include "cli/locate.h"
#include "cli/output.h"
#include "cli/secrets.h"
#include "cli/verbs.h"

namespace cairn::cli {
namespace {

namespace fs = std::filesystem;
using google::protobuf::FieldDescriptor;
using google::protobuf::Message;

constexpr std::chrono::milliseconds kPackTime{60'000};
constexpr std::uintmax_t kLogBytes = 4 << 20;  // the end of a longer log

// Bytes are registers, data in pipes and the like: the program's own.
void drop_contents(Message& record) {
  const auto* reflection = record.GetReflection();
  std::vector<const FieldDescriptor*> fields;
  reflection->ListFields(record, &fields);
  for (const FieldDescriptor* field : fields) {
    if (field->type() == FieldDescriptor::TYPE_BYTES) {
      reflection->ClearField(&record, field);
    } else if (field->cpp_type() != FieldDescriptor::CPPTYPE_MESSAGE) {
      continue;
    } else if (field->is_repeated()) {
      for (int i = 0; i < reflection->FieldSize(record, field); ++i)
        drop_contents(*reflection->MutableRepeatedMessage(&record, field, i));
    } else {
      drop_contents(*reflection->MutableMessage(&record, field));
    }
  }
}

class Collection {
 public:
  explicit Collection(fs::path directory) : directory_(std::move(directory)) {}

  Result<> add(const std::string& name, const std::string& text) {
    std::ofstream file(directory_ / name, std::ios::binary);
    file << text;
    file.close();
    if (!file) return os_failure("write", directory_ / name);
    return {};
  }
  Result<> add(const std::string& name, const Json& json) {
    return add(name, json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n");
  }

 private:
  fs::path directory_;
};

// NAME=VALUE in it are masked as in an environment.
std::string log_text(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::error_code error;
  if (const auto bytes = fs::file_size(path, error); !error && bytes > kLogBytes)
    file.seekg(static_cast<std::streamoff>(bytes - kLogBytes));
  std::string text;
  std::string line;
  while (std::getline(file, line)) {
    std::string masked;
    for (std::size_t at = 0; at <= line.size();) {
      const std::size_t blank = std::min(line.find(' ', at), line.size());
      masked += mask_secret(line.substr(at, blank - at)) + (blank < line.size() ? " " : "");
      at = blank + 1;
    }
    text += masked + "\n";
  }
  return text;
}

Result<Json> records_json(restart::Plan& plan) {
  Json all{{"generation", to_json(plan.reader->info())}};
  const auto append = [&all](const char* key, Message& record) -> Result<> {
    drop_contents(record);
    CAIRN_ASSIGN(const std::string text, image::to_json(record, false));
    all[key].push_back(Json::parse(text, nullptr, false));
    return {};
  };
  for (auto& process : plan.records.processes) CAIRN_TRY(append("processes", process));
  for (auto& object : plan.records.objects) CAIRN_TRY(append("objects", object));
  return all;
}

// A damaged store is what support is asked about most: what is wrong goes into the file.
Result<> add_store(Collection& collection, const std::string& word, const std::string& dir) {
  const auto chosen = list_chosen(word, dir);
  if (!chosen) return collection.add("store.json", Json{{"error", chosen.error().error.message()}});
  Json store{{"directory", chosen->directory}, {"generations", Json::array()}};
  for (const auto& generation : chosen->generations) {
    store["generations"].push_back(to_json(generation));
    const fs::path manifest =
        fs::path(chosen->directory) / std::to_string(generation.number) / "manifest.json";
    CAIRN_TRY(
        collection.add(fmt::format("manifest-{}.json", generation.number), log_text(manifest)));
  }
  CAIRN_TRY(collection.add("store.json", store));
  CAIRN_TRY(collection.add("agent.log", log_text(fs::path(chosen->directory) / "agent.log")));
  auto plan = read_chosen(word, dir);
  if (!plan) return collection.add("records.json", Json{{"error", plan.error().error.message()}});
  CAIRN_ASSIGN(const Json records, records_json(*plan));
  return collection.add("records.json", records);
}

Result<> fill(Collection& collection, const SupportOptions& options) {
  CAIRN_TRY(collection.add("version.json", Json{{"cairn", CAIRN_VERSION},
                                                {"image_format", image::kFormatVersion},
                                                {"store_format", storage::kStoreVersion}}));
  CAIRN_TRY(collection.add("doctor.json", to_json(examine(options.common.dir, {}))));
  Json jobs = Json::array();
  for (const agent::JobEntry& job : agent::running_jobs())
    jobs.push_back({{"job", job.job_id},
                    {"name", job.name},
                    {"pid", job.first_pid},
                    {"directory", job.directory},
                    {"incarnation", job.incarnation},
                    {"started_ns", job.started_ns}});
  CAIRN_TRY(collection.add("jobs.json", jobs));
  return add_store(collection, options.directory, options.common.dir);
}

Result<std::string> tar_program() {
  for (const char* path : {"/usr/bin/tar", "/bin/tar"})
    if (::access(path, X_OK) == 0) return std::string(path);
  return refusal("tar is needed and is neither in /usr/bin nor in /bin");
}

std::string default_name() {
  const std::time_t now = std::time(nullptr);
  std::tm local{};
  ::localtime_r(&now, &local);
  std::array<char, 64> text{};
  std::strftime(text.data(), text.size(), "cairn-support-%Y%m%d-%H%M%S.tar.gz", &local);
  return text.data();
}

// The file is ours alone, like everything that Cairn writes.
Result<> pack(const fs::path& directory, const std::string& output) {
  CAIRN_ASSIGN(const std::string tar, tar_program());
  const mode_t before = ::umask(0077);
  const auto code =
      run_program(tar, {"-czf", output, "-C", directory.parent_path(), directory.filename()},
                  Deadline{kPackTime});
  ::umask(before);
  if (!code) return Failure(code.error());
  if (*code != 0) return refusal(fmt::format("tar ended with {} while it wrote", *code), output);
  return {};
}

}  // namespace

ExitCode support(const SupportOptions& options) {
  const bool json = options.common.json;
  std::string scratch = (fs::temp_directory_path() / "cairn-support-XXXXXX").string();
  if (::mkdtemp(scratch.data()) == nullptr)
    return fail(json, ExitCode::kFailed, os_failure("make a directory", scratch).value());
  const fs::path directory = fs::path(scratch) / "cairn-support";
  const std::string output = options.output.empty() ? default_name() : options.output;
  std::error_code ignored;
  fs::create_directory(directory, ignored);
  Collection collection(directory);
  Result<> done = fill(collection, options);
  if (done) done = pack(directory, output);
  fs::remove_all(scratch, ignored);
  if (!done) return fail(json, ExitCode::kFailed, done.error());
  if (json) {
    print_json({{"ok", true}, {"file", output}});
  } else {
    print_line(output + ": no memory, no environment and no arguments of programs are in it");
  }
  return ExitCode::kOk;
}

}  // namespace cairn::cli
