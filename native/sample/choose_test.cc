// Holds candidatesOf() to distributions that transformers made: choose_test LAWS. Prints what differs; 1 when any does.
#include <cmath>
#include <cstdio>
#include <fstream>
#include <iostream>
#include <sstream>
#include <string>

#include "sample/choose.h"
#include "sample/stop.h"

namespace {

int failures = 0;

void check(bool holds, const std::string& what) {
  if (holds) return;
  ++failures;
  std::cout << "failed: " << what << "\n";
}

struct Law {
  std::string name;
  bt::SamplingOptions options;
  std::vector<int32_t> prompt, output;
  std::vector<float> logits;
};

double numberOf(std::istream& in) {
  std::string text;  // streams read no "-inf"
  in >> text;
  return std::stod(text);
}

template <class T>
std::vector<T> listOf(std::istream& in) {
  size_t count;
  in >> count;
  std::vector<T> values(count);
  for (T& value : values) value = static_cast<T>(numberOf(in));
  return values;
}

// [vocab] log-probabilities; -inf for what is no candidate.
std::vector<double> distribution(Law law) {
  std::vector<int32_t> seen = law.prompt;
  seen.insert(seen.end(), law.output.begin(), law.output.end());
  const auto vocab = static_cast<int64_t>(law.logits.size());
  std::vector<double> found(vocab, -HUGE_VAL);
  double sum = 0, before = HUGE_VAL;
  for (const auto& [token, probability] :
       bt::candidatesOf(law.logits.data(), vocab, law.options, seen, static_cast<int64_t>(law.output.size()))) {
    found[token] = std::log(probability);
    sum += probability;
    check(probability <= before, law.name + ": candidates are not in order");
    before = probability;
  }
  check(std::abs(sum - 1) < 1e-9, law.name + ": probabilities sum to " + std::to_string(sum));
  return found;
}

void compare(const Law& law, const std::vector<double>& expected) {
  const std::vector<double> found = distribution(law);
  for (size_t i = 0; i < found.size(); ++i) {
    const bool same = std::isinf(expected[i]) ? std::isinf(found[i]) : std::abs(found[i] - expected[i]) < 1e-5;
    check(same, law.name + ": token " + std::to_string(i) + " has log p " + std::to_string(found[i]) + ", not " +
                    std::to_string(expected[i]));
  }
}

int laws(const char* path) {
  std::ifstream file(path);
  Law law;
  int count = 0;
  for (std::string line; std::getline(file, line);) {
    std::istringstream in(line);
    std::string word;
    in >> word;
    bt::SamplingOptions& options = law.options;
    if (word == "case") {
      law = Law();
      in >> law.name;
    } else if (word == "temperature")
      options.temperature = numberOf(in);
    else if (word == "top_k")
      options.topK = static_cast<int64_t>(numberOf(in));
    else if (word == "top_p")
      options.topP = numberOf(in);
    else if (word == "min_p")
      options.minP = numberOf(in);
    else if (word == "typical_p")
      options.typicalP = numberOf(in);
    else if (word == "repetition_penalty")
      options.repetitionPenalty = numberOf(in);
    else if (word == "presence")
      options.presencePenalty = numberOf(in);
    else if (word == "frequency")
      options.frequencyPenalty = numberOf(in);
    else if (word == "no_repeat_ngram")
      options.noRepeatNgram = static_cast<int64_t>(numberOf(in));
    else if (word == "bias") {
      const auto token = static_cast<int32_t>(numberOf(in));
      options.logitBias.emplace_back(token, static_cast<float>(numberOf(in)));
    } else if (word == "prompt")
      law.prompt = listOf<int32_t>(in);
    else if (word == "output")
      law.output = listOf<int32_t>(in);
    else if (word == "logits")
      law.logits = listOf<float>(in);
    else if (word == "expected") {
      compare(law, listOf<double>(in));
      ++count;
    } else
      check(false, "a line begins with \"" + word + "\"");
  }
  return count;
}

void nothingLeft() {
  bt::SamplingOptions options;
  options.noRepeatNgram = 1;
  std::vector<float> logits{1, 2, 3};
  check(bt::choose(logits.data(), 3, options, {0, 1, 2}, 1, 0).token == -1,
        "every token is banned, yet one was chosen");
}

void ownTemperature() {
  bt::SamplingOptions options;
  options.temperature = 0;
  int best = 0;
  for (int row = 0; row < 400; ++row) {
    std::vector<float> logits{0, 0.1F, 0, 0};
    best += bt::choose(logits.data(), 4, options, {}, row, 0, 1.0).token == 1 ? 1 : 0;
  }
  check(best > 60 && best < 180, "a row of temperature 1 in a greedy sampler took the best " + std::to_string(best));
}

// Tokens: "ab", "c", "\n\nc", "", "xa".
void stopTexts() {
  bt::StopTexts stops{{"bc", "\n\n"}, "abc\n\ncxa", {0, 2, 3, 6, 6, 8}};
  check(bt::completesStop(stops, {0, 1}), "a stop text over two tokens was not seen");
  check(bt::completesStop(stops, {1, 2}), "a stop text in the midst of a token was not seen");
  check(bt::completesStop(stops, {0, 3, 1}), "a token without bytes hid a stop text");
  check(!bt::completesStop(stops, {0, 3}), "a token without bytes completed a stop text");
  check(!bt::completesStop(stops, {1, 0}), "a stop text was seen that is not there");
  check(!bt::completesStop(stops, {0, 1, 4}), "a stop text that ended before was seen again");
  check(!bt::completesStop({}, {0, 1}), "without stop texts one was seen");
}

}  // namespace

int main(int count, char** arguments) {
  if (count != 2) return 2;
  const int held = laws(arguments[1]);
  nothingLeft();
  ownTemperature();
  stopTexts();
  std::cout << held << " laws, " << failures << " failures\n";
  return failures == 0 ? 0 : 1;
}
