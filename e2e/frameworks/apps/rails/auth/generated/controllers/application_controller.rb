class ApplicationController < ActionController::Base
  include Authentication
  include Intilery

  private

  def current_user
    resume_session&.user
  end
end
