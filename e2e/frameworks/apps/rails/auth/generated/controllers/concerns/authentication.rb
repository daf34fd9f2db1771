# The methods that the authentication generator of Rails 8 makes, as far as the recipe uses them.
module Authentication
  extend ActiveSupport::Concern

  included { before_action :require_authentication }

  class_methods do
    def allow_unauthenticated_access(**actions)
      skip_before_action :require_authentication, **actions
    end
  end

  private

  def require_authentication
    redirect_to new_session_path unless resume_session
  end

  # The session, which has a user, or nil.
  def resume_session
    Current.session ||= Session.find_by(id: cookies.encrypted[:shop_session])
  end

  def start_new_session_for(user)
    Current.session = user.sessions.create!
    cookies.encrypted[:shop_session] = { value: Current.session.id, httponly: true }
  end

  def terminate_session
    Current.session.destroy
    cookies.delete :shop_session
  end
end
