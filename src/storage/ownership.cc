#include "storage/ownership.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/files.h"
#include "storage/file.h"
#include "storage/generation_files.h"
#include "storage/hash.h"

namespace cairn::storage {
namespace {

using Json = nlohmann::ordered_json;

const std::string kOwnerName = "owner";
const std::string kClaimPrefix = "owner.";
const std::string kDraftPrefix = ".owner-draft-";
const std::string kWork = ".tmp-";
const std::string kDead = ".dead-";
constexpr int kIndent = 2;

std::string claim_path(const std::string& store, std::uint64_t incarnation) {
  return store + "/" + kClaimPrefix + std::to_string(incarnation);
}

std::string to_text(const OwnerRecord& owner) {
  Json value = {{"format", 1},
                {"job_id", owner.job_id},
                {"incarnation", owner.incarnation},
                {"coordinator_address", owner.coordinator_address},
                {"public_key", owner.public_key},
                {"host", owner.host},
                {"boot_id", owner.boot_id},
                {"pid", owner.pid},
                {"start_time", owner.start_time}};
  value["checksum"] = to_hex(hash_text(value.dump(kIndent)));
  return value.dump(kIndent) + "\n";
}

// A name that nobody on any host uses at the same time.
std::string draft_path(const std::string& store) {
  std::uint64_t random = 0;
  if (::getrandom(&random, sizeof random, 0) != sizeof random)
    random = static_cast<std::uint64_t>(::getpid());
  return store + "/" + kDraftPrefix + std::to_string(random);
}

Result<OwnerRecord> from_text(const std::string& text, const std::string& path) {
  try {
    const Json value = Json::parse(text);
    OwnerRecord owner;
    owner.job_id = value.at("job_id");
    owner.incarnation = value.at("incarnation");
    owner.coordinator_address = value.at("coordinator_address");
    owner.public_key = value.at("public_key");
    owner.host = value.at("host");
    owner.boot_id = value.at("boot_id");
    owner.pid = value.at("pid");
    owner.start_time = value.at("start_time");
    if (to_text(owner) != text) return refusal("read owner: it is damaged (checksum)", path);
    return owner;
  } catch (const std::exception&) {
    return refusal("read owner: it is damaged", path);
  }
}

Result<std::uint64_t> highest_claim(const std::string& store) {
  CAIRN_ASSIGN(const auto names, list_directory(store));
  std::uint64_t highest = 0;
  for (const std::string& name : names)
    if (name.starts_with(kClaimPrefix))
      highest = std::max(highest, parse_number(std::string_view(name).substr(kClaimPrefix.size())));
  return highest;
}

std::string first_line(const char* path) {
  const std::string text = read_text_file(path).value_or(std::string());
  return text.substr(0, text.find('\n'));
}

// A claim has its name only once it is whole, but a power failure may keep the name and lose the
// bytes of one that was not settled. Whoever made it is gone.
bool lost_to_power_failure(std::string_view text) {
  return text.find_first_not_of('\0') == std::string_view::npos;
}

// 0 if there is no such process or it has ended: in a container nobody may wait for it.
std::uint64_t start_time_of(pid_t pid) {
  const ProcessStat stat = process_stat(pid);
  return stat.state == 'Z' ? 0 : stat.start_time;
}

// Gives `owner` the record of the highest claim, which is ours unless somebody was faster. `draft`
// is another link to ours.
Result<> publish(const std::string& store, std::uint64_t mine, const std::string& own_draft) {
  std::uint64_t published = mine;
  // Somebody else may have taken our draft for a leftover.
  if (const auto done = rename_file(own_draft, store + "/" + kOwnerName, FaultPoint::kOwnerPublish);
      !done && done.error().code == ENOENT)
    published = 0;
  else
    CAIRN_TRY(done);
  for (;;) {
    CAIRN_ASSIGN(const std::uint64_t highest, highest_claim(store));
    if (highest == published) break;
    const std::string draft = draft_path(store);  // link(2) does not replace, rename(2) does
    if (::link(claim_path(store, highest).c_str(), draft.c_str()) != 0) {
      if (errno == ENOENT) continue;  // superseded and removed meanwhile
      return os_failure("link", draft);
    }
    const auto put = rename_file(draft, store + "/" + kOwnerName, FaultPoint::kOwnerPublish);
    if (!put && put.error().code == ENOENT) continue;  // taken for a leftover, as above
    CAIRN_TRY(put);
    // rename(2) of two links to one file does nothing: then the draft is still there.
    if (::unlink(draft.c_str()) != 0 && errno != ENOENT) return os_failure("remove", draft);
    published = highest;
  }
  if (published != mine)
    return failure(kSuperseded, "take ownership: somebody else was faster", store);
  return {};
}

// What an older owner is still writing is renamed: from then on that owner's commit has nothing
// left to rename.
Result<> fence_leftovers(const std::string& store, const OwnerRecord& owner) {
  CAIRN_ASSIGN(const auto names, list_directory(store));
  for (const std::string& name : names) {
    const std::size_t work = name.find(kWork);
    if (work == std::string::npos ||
        parse_number(std::string_view(name).substr(work + kWork.size())) >= owner.incarnation)
      continue;
    const std::string dead =
        store + "/" + name.substr(0, work) + kDead + std::to_string(owner.incarnation);
    // It may have been committed in this very moment: that was before we were the owner.
    if (::rename((store + "/" + name).c_str(), dead.c_str()) != 0 && errno != ENOENT)
      return os_failure("rename to " + dead, store + "/" + name);
  }
  return {};
}

}  // namespace

void OwnerRecord::fill_in_self() {
  utsname names;
  if (::uname(&names) == 0) host = names.nodename;
  boot_id = first_line("/proc/sys/kernel/random/boot_id");
  pid = ::getpid();
  start_time = start_time_of(pid);
}

OwnerLife owner_life(const OwnerRecord& owner) {
  OwnerRecord self;
  self.fill_in_self();
  if (owner.boot_id != self.boot_id)
    return owner.host == self.host ? OwnerLife::kDead : OwnerLife::kUnknown;
  return start_time_of(owner.pid) == owner.start_time && owner.start_time != 0 ? OwnerLife::kAlive
                                                                               : OwnerLife::kDead;
}

Result<std::optional<OwnerRecord>> read_owner(const std::string& store) {
  CAIRN_ASSIGN(const std::uint64_t highest, highest_claim(store));
  if (highest == 0) return std::nullopt;
  const std::string path = claim_path(store, highest);
  auto text = read_whole_file(path);
  // A still newer owner removes older claims.
  if (!text && text.error().code == ENOENT) return read_owner(store);
  if (!text) return Failure(text.error());
  if (lost_to_power_failure(*text)) return OwnerRecord{.incarnation = highest};
  CAIRN_ASSIGN(auto owner, from_text(*text, path));
  return owner;
}

Result<OwnerRecord> claim_store(const std::string& directory, OwnerRecord wanted,
                                Takeover takeover) {
  CAIRN_TRY(make_path(directory));
  if (::chmod(directory.c_str(), 0700) != 0) return os_failure("set the mode of", directory);
  for (;;) {
    CAIRN_ASSIGN(const auto present, read_owner(directory));
    if (present && takeover == Takeover::kIfNotAlive && owner_life(*present) == OwnerLife::kAlive)
      return failure(kOwned,
                     "take ownership: job " + present->job_id + " runs (agent " +
                         std::to_string(present->pid) + " on " + present->host + ")",
                     directory);
    wanted.incarnation = (present ? present->incarnation : 0) + 1;
    const std::string draft = draft_path(directory);
    CAIRN_TRY(write_new_file(draft, to_text(wanted), FaultPoint::kOwnerWrite, FaultPoint::kNone));
    if (const int injected = fault_here(FaultPoint::kOwnerLink); injected > 0)
      return failure(injected, "link", draft);
    if (::link(draft.c_str(), claim_path(directory, wanted.incarnation).c_str()) != 0) {
      const int why = errno;
      if (::unlink(draft.c_str()) != 0 && errno != ENOENT) return os_failure("remove", draft);
      // Somebody else was first, or has taken our draft for a leftover: look again.
      if (why == EEXIST || why == ENOENT) continue;
      return failure(why, "claim incarnation " + std::to_string(wanted.incarnation), directory);
    }
    CAIRN_TRY(publish(directory, wanted.incarnation, draft));
    CAIRN_TRY(fence_leftovers(directory, wanted));
    return wanted;
  }
}

// Numbers must not go back after a power failure: our claim is durable before a lower one is
// removed.
Result<> settle_ownership(const std::string& store, const OwnerRecord& owner) {
  const std::string claim = claim_path(store, owner.incarnation);
  const auto opened = open_file(claim);
  if (!opened && opened.error().code == ENOENT)  // a newer owner, settled before us, has removed it
    return failure(kSuperseded, "settle ownership: there is a newer owner", store);
  if (!opened) return Failure(opened.error());
  const Fd& record = *opened;
  CAIRN_TRY(sync_file(record.get(), claim, FaultPoint::kOwnerSync));
  CAIRN_TRY(sync_directory(store, FaultPoint::kStoreSync));
  CAIRN_ASSIGN(const auto names, list_directory(store));
  for (const std::string& name : names) {
    const std::string path = store + "/" + name;
    const bool older =
        name.starts_with(kClaimPrefix) &&
        parse_number(std::string_view(name).substr(kClaimPrefix.size())) < owner.incarnation;
    if (name.find(kDead) != std::string::npos) {
      CAIRN_TRY(remove_directory_with_files(path));
    } else if (older || name.starts_with(kDraftPrefix)) {
      if (::unlink(path.c_str()) != 0 && errno != ENOENT) return os_failure("remove", path);
    }
  }
  return {};
}

}  // namespace cairn::storage
