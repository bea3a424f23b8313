#include "server/foreign_errors.hpp"

#include <exception>
#include <utility>

namespace sam3trt {

Handler with_errors(Handler handler, std::function<std::string(HttpProblem& problem)> form) {
  return [handler = std::move(handler), form = std::move(form)](const HttpRequest& request) {
    try {
      return handler(request);
    } catch (...) {
      HttpProblem problem = problem_of(std::current_exception());
      std::string body = form(problem);
      HttpResponse response = to_response(problem);
      response.body = std::move(body);
      return response;
    }
  };
}

}  // namespace sam3trt
