#include "resources/seccomp_filters.h"

#include <linux/filter.h>

#include <cstring>
#include <set>

namespace cairn::resources {
namespace {

// The filter at that address and those before it, up to one that is known already.
Result<std::uint64_t> capture_chain(CaptureContext& context, std::uint64_t address,
                                    std::set<std::uint64_t>& known) {
  std::uint64_t newest = 0;
  image::SeccompFilter* later = nullptr;
  while (address != 0) {
    CAIRN_ASSIGN(const auto head, context.process.read_object<abi::LinkFilter>(address));
    if (later == nullptr)
      newest = head.id;
    else
      later->set_earlier(head.id);
    if (!known.insert(head.id).second) break;
    if (head.length > BPF_MAXINSNS) return refusal("a seccomp filter is of another format");
    later = context.image.add_seccomp_filters();
    later->set_id(head.id);
    std::string code(head.length * sizeof(sock_filter), '\0');
    CAIRN_TRY(context.process.read(address + sizeof head, std::as_writable_bytes(std::span(code))));
    later->set_code(std::move(code));
    address = head.earlier;
  }
  return newest;
}

template <class T>
void append(std::string& to, const T& value) {
  to.append(reinterpret_cast<const char*>(&value), sizeof value);
}

const image::SeccompFilter* filter_of(const image::ProcessImage& image, std::uint64_t id) {
  for (const auto& filter : image.seccomp_filters())
    if (filter.id() == id) return &filter;
  return nullptr;
}

}  // namespace

Result<> capture_seccomp_filters(CaptureContext& context) {
  std::set<std::uint64_t> known;
  for (const auto& state : context.threads) {
    if (state.filters == 0 && state.strict == 0) continue;
    CAIRN_ASSIGN(const auto newest, capture_chain(context, state.filters, known));
    for (auto& record : *context.image.mutable_threads()) {
      if (record.tid() != state.virtual_tid) continue;
      if (newest != 0) record.set_seccomp_filter(newest);
      record.set_seccomp_strict(state.strict != 0);
    }
  }
  return {};
}

Result<> restore_seccomp_filters(RebuildContext& context) {
  for (int i = 0; i < context.image.threads_size(); ++i) {
    const auto& record = context.image.threads(i);
    if (!record.has_seccomp_filter() && !record.seccomp_strict()) continue;
    std::string payload;
    append(payload, abi::LinkFilters{i, record.seccomp_strict() ? 1U : 0U});
    std::uint64_t id = record.seccomp_filter();
    while (id != 0) {
      const auto* filter = filter_of(context.image, id);
      if (filter == nullptr) return refusal("a seccomp filter is not in the image");
      const auto length = static_cast<std::uint32_t>(filter->code().size() / sizeof(sock_filter));
      append(payload, abi::LinkFilter{0, id, length, 0});
      payload += filter->code();
      id = filter->earlier();
    }
    CAIRN_TRY(context.process.put_filters(std::as_bytes(std::span(payload))));
  }
  return {};
}

}  // namespace cairn::resources
