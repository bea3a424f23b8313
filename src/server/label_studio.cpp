#include "server/label_studio.hpp"

#include <algorithm>
#include <deque>
#include <memory>
#include <mutex>
#include <nlohmann/json.hpp>
#include <utility>

#include "runtime/rounded.hpp"
#include "server/foreign_json.hpp"
#include "server/label_config.hpp"
#include "server/label_regions.hpp"

namespace sam3trt {
namespace {

using Json = nlohmann::json;

constexpr size_t kMaxProjects = 1000;

HttpResponse answer(const Json& json) {
  HttpResponse response;
  response.body = json.dump(-1, ' ', false, Json::error_handler_t::replace);
  return response;
}

/// What Label Studio says in /setup about a project.
struct Project {
  std::string id;
  std::string host;   ///< "http://localhost:8080"
  std::string token;  ///< For its images.
};

/// The projects that were set up last.
class Projects {
 public:
  void keep(Project project) {
    const std::scoped_lock lock(mutex_);
    std::erase_if(known_, [&](const Project& other) { return other.id == project.id; });
    known_.push_back(std::move(project));
    if (known_.size() > kMaxProjects) known_.pop_front();
  }

  [[nodiscard]] Project find(const std::string& id) const {
    const std::scoped_lock lock(mutex_);
    const auto found = std::ranges::find(known_, id, &Project::id);
    return found == known_.end() ? Project{id, {}, {}} : *found;
  }

 private:
  mutable std::mutex mutex_;
  std::deque<Project> known_;
};

/// A text, or a number as a text.
std::string id_of(const RequestFields& request) {
  const Json* id = request.find("project");
  if (id == nullptr) return {};
  return id->is_string() ? id->get<std::string>() : id->dump();
}

class Backend {
 public:
  Backend(Service& service, TaskImages images) : service_(service), images_(std::move(images)) {}

  [[nodiscard]] std::string version() const {
    return "sam3trt " + service_.info().version + " " + service_.info().name;
  }

  HttpResponse setup(const HttpRequest& http) {
    const Json body = json_body(http.body);
    const RequestFields request(body, "");
    // A configuration that nothing can be written for is refused when the project is connected.
    if (const auto config = request.text("schema")) (void)parse_label_config(*config);
    Project project{id_of(request), request.text("hostname").value_or(""),
                    request.text("access_token").value_or("")};
    while (project.host.ends_with('/')) project.host.pop_back();
    projects_.keep(std::move(project));
    return answer({{"model_version", version()}});
  }

  HttpResponse predict(const HttpRequest& http) {
    const Json body = json_body(http.body);
    const RequestFields request(body, "");
    const LabelTag tag = parse_label_config(request.needed_text("label_config"));
    const Project project = projects_.find(id_of(request));
    const Json* tasks = request.list("tasks");
    if (tasks == nullptr || tasks->empty()) request.refuse("tasks", "a list of at least one task");
    const Json* params = request.object("params");
    const Json* context =
        params == nullptr ? nullptr : RequestFields(*params, "params").object("context");
    Json results = Json::array();
    for (size_t i = 0; i < tasks->size(); ++i) {
      const std::string path = "tasks[" + std::to_string(i) + "]";
      const auto predict = [&] {
        const ServedImage image = image_of((*tasks)[i], path, tag, project);
        return context == nullptr ? found(tag, image, labels_of(tag), http)
                                  : drawn(tag, image, *context, http);
      };
      results.push_back(tasks->size() == 1 ? predict() : predicted(predict));
    }
    return answer({{"results", std::move(results)}, {"model_version", version()}});
  }

 private:
  /// What is looked for, with the label of what is found.
  struct Sought {
    Prompt prompt;
    std::string label;
  };

  /// One of several tasks: a client's error is that task's alone.
  template <typename Action>
  Json predicted(const Action& action) {
    try {
      return action();
    } catch (const HttpError& error) {
      if (error.status() >= 499) throw;
      Json prediction = prediction_of(Json::array(), 0, 0);
      prediction["error"] = error.what();
      return prediction;
    }
  }

  ServedImage image_of(const Json& task, const std::string& path, const LabelTag& tag,
                       const Project& project) {
    const Json* data = RequestFields(task, path).object("data");
    if (data == nullptr) RequestFields(task, path).refuse("data", "a JSON object");
    const RequestFields fields(*data, path + ".data");
    std::string source = fields.needed_text(tag.image_field);
    const bool own = source.starts_with("/") && !project.host.empty();
    if (own) source = project.host + source;
    const bool same_host = own || (!project.host.empty() && source.starts_with(project.host + "/"));
    return images_(source, same_host ? project.token : "", fields.path(tag.image_field));
  }

  static std::vector<Sought> labels_of(const LabelTag& tag) {
    std::vector<Sought> sought;
    for (const LabelTexts& label : tag.labels) {
      for (const std::string& text : label.texts) sought.push_back({{text, {}}, label.value});
    }
    return sought;
  }

  Json prediction_of(Json regions, double scores, size_t count) const {
    return {{"result", std::move(regions)},
            {"score", rounded(count == 0 ? 0 : scores / static_cast<double>(count), 6)},
            {"model_version", version()}};
  }

  Json found(const LabelTag& tag, const ServedImage& image, const std::vector<Sought>& sought,
             const HttpRequest& http) {
    std::vector<Prompt> prompts;
    prompts.reserve(sought.size());
    for (const Sought& one : sought) prompts.push_back(one.prompt);
    DetectOptions options;
    options.thresholds.score = tag.threshold.value_or(options.thresholds.score);
    const ImageResult result = service_.detect(image, prompts, options, http);
    throw_if_failed(result);
    Json regions = Json::array();
    double scores = 0;
    size_t count = 0;
    for (size_t i = 0; i < sought.size(); ++i) {
      for (const Instance& instance : result.prompts[i].instances) {
        for (Json& region : regions_of(tag, {instance.counts, instance.score, sought[i].label},
                                       result.width, result.height)) {
          regions.push_back(std::move(region));
        }
        scores += instance.score;
        ++count;
      }
    }
    return prediction_of(std::move(regions), scores, count);
  }

  Json drawn(const LabelTag& tag, const ServedImage& image, const Json& json,
             const HttpRequest& http) {
    const DrawnContext context = read_context(json, image.image->width, image.image->height);
    const auto known = std::ranges::find(tag.labels, context.label, &LabelTexts::value);
    const std::string& label = known == tag.labels.end() ? tag.labels.front().value : known->value;
    if (!context.texts.empty()) {
      std::vector<Sought> sought;
      for (const std::string& text : context.texts) {
        const auto own = std::ranges::find(tag.labels, text, &LabelTexts::value);
        sought.push_back({{text, {}}, own == tag.labels.end() ? label : own->value});
      }
      return found(tag, image, sought, http);
    }
    if (context.points.empty() && context.boxes.empty()) {
      return prediction_of(Json::array(), 0, 0);
    }
    if (!service_.info().clicks && context.points.empty()) {
      Prompt examples;
      for (const PixelBox& box : context.boxes) examples.boxes.push_back({box, true});
      return found(tag, image, {{examples, label}}, http);
    }
    return pointed(tag, image, context, label, http);
  }

  Json pointed(const LabelTag& tag, const ServedImage& image, const DrawnContext& context,
               const std::string& label, const HttpRequest& http) {
    if (!context.points.empty() && context.boxes.size() > 1) {
      throw HttpError(422, "bad_input",
                      "params.context.result: clicks go with one rectangle at most, found " +
                          std::to_string(context.boxes.size()),
                      "params.context.result");
    }
    std::vector<ObjectPrompt> objects(std::max<size_t>(context.boxes.size(), 1));
    for (size_t i = 0; i < objects.size(); ++i) {
      objects[i].id = static_cast<int64_t>(i + 1);
      if (i < context.boxes.size()) objects[i].box = context.boxes[i];
    }
    objects.front().points = context.points;
    // What a single click means is best chosen among several masks.
    const bool multimask = context.boxes.empty() && context.points.size() == 1;
    const ImageResult result =
        service_.interact(image, objects, {.multimask = multimask, .logits = false}, http);
    throw_if_failed(result);
    Json regions = Json::array();
    double scores = 0;
    for (const ObjectResult& object : result.objects) {
      for (Json& region :
           regions_of(tag, {object.counts, object.score, label}, result.width, result.height)) {
        regions.push_back(std::move(region));
      }
      scores += object.score;
    }
    return prediction_of(std::move(regions), scores, result.objects.size());
  }

  Service& service_;
  TaskImages images_;
  Projects projects_;
};

}  // namespace

TaskImages task_images(const RequestImages& images) {
  return [&images](const std::string& source, const std::string& token, const std::string& where) {
    if (source.starts_with("data:")) return images.of_base64(source, where).served;
    if (source.find("://") != std::string::npos) return images.of_url(source, token, where).served;
    return images.of_path(source, where).served;
  };
}

void add_label_studio_routes(Routes& routes, Service& service, TaskImages images) {
  const auto backend = std::make_shared<Backend>(service, std::move(images));
  routes.add("GET", "/health", [backend](const HttpRequest&) {
    return answer({{"status", "UP"}, {"model_version", backend->version()}});
  });
  routes.add("GET", "/versions", [backend](const HttpRequest&) {
    return answer({{"versions", {backend->version()}}});
  });
  routes.add("POST", "/setup",
             [backend](const HttpRequest& request) { return backend->setup(request); });
  routes.add("POST", "/predict",
             [backend](const HttpRequest& request) { return backend->predict(request); });
  // Nothing is learned from annotations.
  routes.add("POST", "/webhook", [](const HttpRequest&) { return answer(Json::object()); });
}

}  // namespace sam3trt
