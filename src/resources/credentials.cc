#include "resources/credentials.h"

#include <linux/capability.h>
#include <linux/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <sstream>

#include "base/files.h"

namespace cairn::resources {
namespace {

bool same(const image::Credentials& a, const image::Credentials& b) {
  return a.SerializeAsString() == b.SerializeAsString();
}

// The system calls that give one thread its credentials, in the only order that the kernel allows:
// what needs a capability before the capability goes.
class Calls {
 public:
  Calls(const image::Credentials& now, const image::Credentials& wanted, std::uint64_t groups,
        std::uint64_t header, std::uint64_t data, std::uint64_t all)
      : now_(now), wanted_(wanted), groups_(groups), header_(header), data_(data), all_(all) {}

  std::vector<abi::LinkSyscall> of_thread(int index) {
    calls_.clear();
    index_ = index;
    const std::uint64_t lost = now_.capabilities_bounding() & ~wanted_.capabilities_bounding();
    for (int bit = 0; bit < 64; ++bit)
      if (lost >> bit & 1) add(SYS_prctl, PR_CAPBSET_DROP, bit, 0, 0, 0);
    add(SYS_setgroups, wanted_.groups_size(), groups_);
    add(SYS_setresgid, wanted_.gid(), wanted_.egid(), wanted_.sgid());
    const bool secured = wanted_.securebits() != 0;
    if (wanted_.capabilities_permitted() != 0 || secured) add(SYS_prctl, PR_SET_KEEPCAPS, 1, 0, 0, 0);
    add(SYS_setresuid, wanted_.uid(), wanted_.euid(), wanted_.suid());
    if (secured) {  // it takes a capability, which the change of the user has taken out of effect
      add(SYS_capset, header_, all_);
      add(SYS_prctl, PR_SET_SECUREBITS, wanted_.securebits(), 0, 0, 0);
    }
    if (wanted_.fsuid() != wanted_.euid()) add(SYS_setfsuid, wanted_.fsuid());
    if (wanted_.fsgid() != wanted_.egid()) add(SYS_setfsgid, wanted_.fsgid());
    add(SYS_capset, header_, data_);
    for (int bit = 0; bit < 64; ++bit)
      if (wanted_.capabilities_ambient() >> bit & 1)
        add(SYS_prctl, PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, bit, 0, 0);
    return calls_;
  }

 private:
  template <class... Arguments>
  void add(long number, Arguments... arguments) {
    calls_.push_back(RemoteProcess::make_call(index_, number, arguments...));
  }

  const image::Credentials& now_;
  const image::Credentials& wanted_;
  const std::uint64_t groups_, header_, data_, all_;
  int index_ = 0;
  std::vector<abi::LinkSyscall> calls_;
};

}  // namespace

void capture_credentials(const std::string& status, image::Credentials& record) {
  std::istringstream uids(fdinfo_value(status, "Uid"));
  std::istringstream gids(fdinfo_value(status, "Gid"));
  std::uint32_t ids[8] = {};
  uids >> ids[0] >> ids[1] >> ids[2] >> ids[3];
  gids >> ids[4] >> ids[5] >> ids[6] >> ids[7];
  record.set_uid(ids[0]);
  record.set_euid(ids[1]);
  record.set_suid(ids[2]);
  record.set_fsuid(ids[3]);
  record.set_gid(ids[4]);
  record.set_egid(ids[5]);
  record.set_sgid(ids[6]);
  record.set_fsgid(ids[7]);
  std::istringstream groups(fdinfo_value(status, "Groups"));
  for (std::uint32_t group = 0; groups >> group;) record.add_groups(group);
  auto capabilities = [&](const char* name) {
    return std::strtoull(fdinfo_value(status, name).c_str(), nullptr, 16);
  };
  record.set_capabilities_inheritable(capabilities("CapInh"));
  record.set_capabilities_permitted(capabilities("CapPrm"));
  record.set_capabilities_effective(capabilities("CapEff"));
  record.set_capabilities_bounding(capabilities("CapBnd"));
  record.set_capabilities_ambient(capabilities("CapAmb"));
}

Result<> restore_credentials(RebuildContext& context) {
  if (::geteuid() != 0) return {};
  const auto& wanted = context.image.credentials();
  image::Credentials now;
  CAIRN_ASSIGN(const auto status, read_text_file(context.process.proc_path("status")));
  capture_credentials(status, now);
  if (same(now, wanted)) return {};

  const std::vector<std::uint32_t> ids(wanted.groups().begin(), wanted.groups().end());
  const std::array<std::uint32_t, 2> header{_LINUX_CAPABILITY_VERSION_3, 0};
  const auto low = [](std::uint64_t set) { return static_cast<std::uint32_t>(set); };
  const auto high = [](std::uint64_t set) { return static_cast<std::uint32_t>(set >> 32); };
  const auto effective = wanted.capabilities_effective(),
             permitted = wanted.capabilities_permitted(),
             inheritable = wanted.capabilities_inheritable();
  const std::array<std::uint32_t, 6> sets{low(effective),  low(permitted),  low(inheritable),
                                          high(effective), high(permitted), high(inheritable)};
  CAIRN_ASSIGN(const auto groups, context.process.scratch_bytes(std::as_bytes(std::span(ids))));
  CAIRN_ASSIGN(const auto header_place, context.process.scratch_object(header));
  CAIRN_ASSIGN(const auto sets_place, context.process.scratch_object(sets));
  const auto had = now.capabilities_permitted();
  const std::array<std::uint32_t, 6> all{low(had), low(had), 0, high(had), high(had), 0};
  CAIRN_ASSIGN(const auto all_place, context.process.scratch_object(all));
  Calls calls(now, wanted, groups.address(), header_place.address(), sets_place.address(),
              all_place.address());
  for (int i = 0; i < context.image.threads_size(); ++i) {
    auto list = calls.of_thread(i);
    CAIRN_TRY(context.process.syscalls_all_ok(
        list, "give the process its user, groups and capabilities"));
    list = {RemoteProcess::make_call(i, SYS_prctl, PR_SET_KEEPCAPS,
                                     context.image.controls().keep_capabilities() ? 1 : 0, 0, 0,
                                     0)};
    CAIRN_TRY(context.process.syscalls(list));
  }
  return {};
}

}  // namespace cairn::resources
