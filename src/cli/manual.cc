#include "cli/manual.h"

#include "cli/command_line.h"

namespace cairn::cli {
namespace {

// A line that begins with a dot or a quote is a request; a hyphen that is meant to be typed is
// "\-".
std::string escape(const std::string& text) {
  std::string result;
  for (const char c : text) {
    const bool starts = result.empty() || result.back() == '\n';
    if (starts && (c == '.' || c == '\'')) result += "\\&";
    if (c == '\\') {
      result += "\\e";
    } else if (c == '-') {
      result += "\\-";
    } else {
      result += c;
    }
  }
  return result;
}

std::string bold(const std::string& text) {
  return "\\fB" + escape(text) + "\\fR";
}
std::string italic(const std::string& text) {
  return "\\fI" + escape(text) + "\\fR";
}

std::string synopsis(const VerbHelp& verb) {
  std::string line = bold("cairn " + verb.name) + " [options]";
  for (const OptionHelp& option : verb.options)
    if (option.word) line += " [" + italic(option.names.front()) + "]";
  return line;
}

std::string option_entry(const OptionHelp& option) {
  std::string names;
  for (const std::string& name : option.names)
    names += (names.empty() ? "" : ", ") + (option.word ? italic(name) : bold(name));
  if (!option.value.empty()) names += " " + italic(option.value);
  std::string text = ".TP\n" + names + "\n" + escape(option.description);
  if (!option.variable.empty()) text += " (" + bold(option.variable) + ")";
  return text + "\n";
}

std::string words(const VerbHelp& verb, bool (*wanted)(const OptionHelp&)) {
  std::string list;
  for (const OptionHelp& option : verb.options)
    if (!option.word && wanted(option))
      for (const std::string& name : option.names) list += (list.empty() ? "" : " ") + name;
  return list;
}

}  // namespace

std::string manual_page() {
  const auto verbs = describe_verbs();
  std::string page = ".TH CAIRN 1 \"\" \"Cairn " CAIRN_VERSION "\" \"Cairn\"\n";
  page += ".SH NAME\ncairn \\- saves running programs and brings them back later\n.SH SYNOPSIS\n";
  for (const VerbHelp& verb : verbs) page += synopsis(verb) + "\n.br\n";
  page +=
      ".SH DESCRIPTION\n"
      "A program that was started by\n" +
      bold("cairn run") +
      "\n"
      "is saved by\n" +
      bold("cairn checkpoint") +
      "\n"
      "and continued, on this or another machine, by\n" +
      bold("cairn restart") +
      ".\n"
      "Nothing is recompiled or relinked, and no privilege is needed. A checkpoint that cannot be\n"
      "taken says why and exits with an error, and the program goes on.\n"
      ".PP\n"
      "Each flag may be given by the environment variable that stands behind it; what is on the\n"
      "command line counts more.\n";
  for (const VerbHelp& verb : verbs) {
    page += ".SH CAIRN " + escape(verb.name) + "\n" + synopsis(verb) + "\n.PP\n" +
            escape(verb.description) + ".\n";
    for (const OptionHelp& option : verb.options) page += option_entry(option);
  }
  page += ".SH EXIT STATUS\n.nf\n" + escape(exit_code_help()) + ".fi\n";
  page += ".SH FILES\n.TP\n" + italic("./cairn-NAME") +
          "\nWhere a job is kept unless it is said otherwise.\n";
  return page;
}

std::string bash_completion() {
  std::string names;
  std::string flags;
  std::string values;
  for (const VerbHelp& verb : describe_verbs()) {
    names += (names.empty() ? "" : " ") + verb.name;
    flags += "    " + verb.name + ") echo \"" +
             words(verb, [](const OptionHelp&) { return true; }) + "\" ;;\n";
    const std::string with_value =
        words(verb, [](const OptionHelp& option) { return !option.value.empty(); });
    values += "    " + verb.name + ") echo \"" + with_value + "\" ;;\n";
  }
  return "# bash completion of cairn " CAIRN_VERSION
         "\n"
         "_cairn_flags() {\n  case \"$1\" in\n" +
         flags +
         "  esac\n}\n"
         "_cairn_flags_with_value() {\n  case \"$1\" in\n" +
         values +
         "  esac\n}\n"
         R"bash(_cairn() {
  local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]} verb=${COMP_WORDS[1]}
  COMPREPLY=()
  if [[ $COMP_CWORD -eq 1 ]]; then
    COMPREPLY=($(compgen -W ")bash" +
         names + R"bash( --help --version" -- "$word"))
  elif [[ " $(_cairn_flags_with_value "$verb") " == *" $before "* ]]; then
    COMPREPLY=($(compgen -f -- "$word"))
  elif [[ $word == -* ]]; then
    COMPREPLY=($(compgen -W "$(_cairn_flags "$verb")" -- "$word"))
  elif [[ $verb == run || $verb == doctor ]]; then
    COMPREPLY=($(compgen -c -f -- "$word"))
  else
    COMPREPLY=($(compgen -d -- "$word"))
  fi
}
complete -o filenames -F _cairn cairn
)bash";
}

}  // namespace cairn::cli
