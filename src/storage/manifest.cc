#include "storage/manifest.h"

#include <nlohmann/json.hpp>

namespace cairn::storage {
namespace {

using Json = nlohmann::ordered_json;

Json to_value(const FileSummary& file) {
  return {{"path", file.path}, {"bytes", file.bytes}, {"identity", to_hex(file.identity)}};
}

Json to_value(const NodeSummary& node) {
  Json packs = Json::array();
  for (const FileSummary& pack : node.packs) packs.push_back(to_value(pack));
  return {{"node", node.node},
          {"records", node.records},
          {"memory_bytes", node.memory_bytes},
          {"new_bytes", node.new_bytes},
          {"stored_bytes", node.stored_bytes},
          {"meta", to_value(node.meta)},
          {"packs", packs}};
}

// These throw nlohmann's exceptions, which are caught where the text came in.
Hash hash_from_hex(const std::string& hex) {
  Hash hash;
  if (hex.size() != 32) throw std::invalid_argument("hash");
  hash.high = std::stoull(hex.substr(0, 16), nullptr, 16);
  hash.low = std::stoull(hex.substr(16), nullptr, 16);
  return hash;
}

FileSummary file_from(const Json& value) {
  return {value.at("path"), value.at("bytes"), hash_from_hex(value.at("identity"))};
}

NodeSummary node_from(const Json& value) {
  NodeSummary node;
  node.node = value.at("node");
  node.records = value.at("records");
  node.memory_bytes = value.at("memory_bytes");
  node.new_bytes = value.at("new_bytes");
  node.stored_bytes = value.at("stored_bytes");
  node.meta = file_from(value.at("meta"));
  for (const Json& pack : value.at("packs")) node.packs.push_back(file_from(pack));
  return node;
}

constexpr int kIndent = 2;
constexpr int kDeepest = 16;  // ours has five levels; deeper ones would only use up the stack

// Too deep a part is left out, and what is left is not the text any more.
Json parse(std::string_view text) {
  const auto shallow = [](int depth, Json::parse_event_t, Json&) { return depth < kDeepest; };
  return Json::parse(text, shallow, /*allow_exceptions=*/false);
}

std::string with_checksum(Json value) {
  value.erase("checksum");
  value["checksum"] = to_hex(hash_text(value.dump(kIndent)));
  return value.dump(kIndent) + "\n";
}

template <class Member>
std::uint64_t sum(const std::vector<NodeSummary>& nodes, Member member) {
  std::uint64_t total = 0;
  for (const NodeSummary& node : nodes) total += node.*member;
  return total;
}

}  // namespace

std::uint64_t GenerationInfo::memory_bytes() const {
  return sum(nodes, &NodeSummary::memory_bytes);
}
std::uint64_t GenerationInfo::new_bytes() const {
  return sum(nodes, &NodeSummary::new_bytes);
}
std::uint64_t GenerationInfo::stored_bytes() const {
  return sum(nodes, &NodeSummary::stored_bytes);
}

std::string manifest_to_text(const GenerationInfo& info) {
  Json nodes = Json::array();
  for (const NodeSummary& node : info.nodes) nodes.push_back(to_value(node));
  const Json extra = Json::parse(info.info.empty() ? "{}" : info.info, nullptr, false);
  return with_checksum({{"format", kStoreVersion},
                        {"generation", info.number},
                        {"job_id", info.job_id},
                        {"incarnation", info.incarnation},
                        {"committed_ns", info.committed_ns},
                        {"quirks", info.quirks},
                        {"info", extra.is_discarded() ? Json(info.info) : extra},
                        {"nodes", nodes}});
}

Result<GenerationInfo> manifest_from_text(std::string_view text, const std::string& path) {
  const Json value = parse(text);
  if (!value.is_object()) return refusal("read manifest: it is damaged (not JSON)", path);
  // Canonical form: whatever byte was changed, written anew it would not be the same text.
  if (with_checksum(value) != text) return refusal("read manifest: it is damaged (checksum)", path);
  try {
    if (value.at("format").get<std::uint32_t>() > kStoreVersion)
      return refusal("read manifest: the store's format is newer than this program", path);
    GenerationInfo info;
    info.number = value.at("generation");
    info.job_id = value.at("job_id");
    info.incarnation = value.at("incarnation");
    info.committed_ns = value.at("committed_ns");
    info.quirks = value.at("quirks").get<std::vector<std::string>>();
    info.info = value.at("info").dump();
    for (const Json& node : value.at("nodes")) info.nodes.push_back(node_from(node));
    return info;
  } catch (const std::exception&) {
    return refusal("read manifest: a field is missing or of the wrong type", path);
  }
}

std::string to_json(const NodeSummary& summary) {
  return to_value(summary).dump();
}

Result<NodeSummary> node_summary_from_json(std::string_view text) {
  try {
    return node_from(Json::parse(text));
  } catch (const std::exception&) {
    return refusal("read node summary: it is damaged");
  }
}

}  // namespace cairn::storage
